//go:build linux

package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// pipe returns both ends of a pipe.
func pipe(tb testing.TB) (reader, writer *os.File) {
	tb.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

// The server goes on without the readers of its standard output and of its log.
// Covers L9.
func TestReadersOfTheOutputMayGoAway(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	s := newNode(t, service.URL)
	cmd := testkit.Command(t, "--config", filepath.Join(s.dir, "mtlsguard.yaml"))
	out, outEnd := pipe(t)
	log, logEnd := pipe(t)
	cmd.Stdout, cmd.Stderr = outEnd, logEnd
	out.Close() // the line ready has no reader
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // an error: it has ended
	outEnd.Close()
	logEnd.Close()
	client := testkit.Client(t, s.serve.Pool(), s.alice)
	ask := func() (status int) {
		res, err := client.Get("https://" + s.address + "/orders/7")
		if err != nil {
			return 0
		}
		res.Body.Close()
		return res.StatusCode
	}
	testkit.Eventually(t, "the server answers", func() bool { return ask() == http.StatusOK })
	log.Close()
	for range 5 { // each has a line in the log
		if got := ask(); got != http.StatusOK {
			t.Fatalf("status %d without a reader of the log", got)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// A node that waits for a store which does not answer ends at SIGTERM with status 0, and does not end at SIGHUP.
func TestSignalsWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"nats", "postgres", "etcd"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			s := newNode(t, "http://127.0.0.1:9")
			name := filepath.Join(s.dir, "mtlsguard.yaml")
			write(t, name, strings.ReplaceAll(read(t, name), "users: users.yaml", "users: fleet/users.yaml")+"source: {mount: fleet, keep: keep, unsigned: true, fleet: orders, first: 5m}\n")
			hole, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and never answers
			if err != nil {
				t.Fatal(err)
			}
			defer hole.Close()
			cmd := testkit.Command(t, "--config", name, "--store", scheme+"://"+hole.Addr().String())
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill() }() // an error: it has ended
			conn, err := hole.Accept()                // it waits for the store by now
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for _, signal := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
				if err := cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, stderr.String())
			}
		})
	}
}
