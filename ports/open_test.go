package ports_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// A program's own listener is served like the port's: here a unix socket.
func TestListenOpensTheListenerOfAPort(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	c.Addr = filepath.Join(t.TempDir(), "s")
	c.Listen = func(_ context.Context, addr string) (net.Listener, error) { return net.Listen("unix", addr) }
	p := newPort(t, c)
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := ports.FromContext(r.Context())
		v, err := conn.Verified(r.Context())
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(w, v.Leaf().Subject.CommonName)
	})}
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()

	client := testkit.Client(t, serverCA.Pool(), alice)
	client.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", c.Addr)
	}
	res, err := client.Get("https://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "alice" {
		t.Errorf("got %q, want alice", body)
	}
}

func TestListenWithoutAUsableListenerIsAnError(t *testing.T) {
	t.Parallel()
	other := newPort(t, func() ports.Config { c, _ := config(t, ports.Require); return c }())
	for name, x := range map[string]struct {
		listen func(context.Context, string) (net.Listener, error)
		want   string
	}{
		"neither listener nor error": {func(context.Context, string) (net.Listener, error) { return nil, nil }, "no listener"},
		"an error":                   {func(context.Context, string) (net.Listener, error) { return nil, errors.New("no such socket") }, "ports: require: no such socket"},
		"a port's listener":          {func(ctx context.Context, _ string) (net.Listener, error) { return other.Listen(ctx) }, "the listener of a port"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := config(t, ports.Require)
			c.Addr, c.Listen = "anything", x.listen
			p := newPort(t, c)
			if _, err := p.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

// A listener that does TLS itself would leave the port without the client's certificate.
func TestConnectionsOfATLSListenerAreRefusedWithTheCause(t *testing.T) {
	t.Parallel()
	c, e := config(t, ports.Request)
	c.Listen = func(_ context.Context, addr string) (net.Listener, error) {
		return tls.Listen("tcp", addr, &tls.Config{Certificates: []tls.Certificate{server}})
	}
	p := newPort(t, c)
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if h := e.of(t, conn.LocalAddr()); h.Err == nil || !strings.Contains(h.Err.Error(), "does TLS itself") {
		t.Errorf("got %v", h.Err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
}
