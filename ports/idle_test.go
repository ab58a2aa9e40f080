package ports_test

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// The sweep ends a connection of HTTP/1 that is idle for Limits.Idle, and sends close_notify
// first. A connection that is in use, however long, goes on.
// Covers H1.
func TestSweepEndsIdleConnectionsOfHTTP1(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Limits = ports.Limits{Idle: time.Minute, Drain: time.Second}
	p, arrived, release := newPort(t, c), make(chan struct{}), make(chan struct{})
	serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			arrived <- struct{}{}
			<-release
		}
	}), p)
	own := admitted(t, p, clientConfig(alice, h1))
	later := func(d time.Duration) {
		start := time.Now()
		p.Sweep(start)
		p.Sweep(start.Add(d))
	}

	answered := make(chan error, 1)
	go func() {
		_, _, err := own.get("/slow")
		answered <- err
	}()
	<-arrived
	later(time.Hour)
	close(release)
	if err := <-answered; err != nil {
		t.Fatalf("a request that took an hour: %v", err)
	}
	later(time.Minute - time.Second)
	if _, _, err := own.get("/"); err != nil {
		t.Fatalf("after 59 seconds: %v", err)
	}
	testkit.Eventually(t, "the idle connection ends", func() bool {
		later(time.Minute)
		return len(p.Connections()) == 0
	})

	silent, err := dial(t, p, clientConfig(alice, h1))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(silent, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if _, err := http.ReadResponse(bufio.NewReader(silent), nil); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := silent.Read(make([]byte, 1))
		read <- err
	}()
	testkit.Eventually(t, "the idle connection ends", func() bool {
		later(time.Minute)
		return len(p.Connections()) == 0
	})
	if err := <-read; err != io.EOF {
		t.Errorf("the client reads %v, want the alert close_notify", err)
	}
}
