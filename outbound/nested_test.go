package outbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// Functions that run during a call, with the call's context, make no calls as the caller:
// neither Allow nor a dialler nor a proxy function.
// Covers J11.
func TestNestedCallsChooseTheirOwnIdentity(t *testing.T) {
	t.Parallel()
	s, p := serve(t, nil), newTestProxy(t, false)
	inner := newFixture(t, "alice").client()
	var tried []string
	try := func(ctx context.Context, where string) {
		tried = append(tried, where)
		if got, err := get(ctx, inner, s.URL); !errors.Is(err, outbound.ErrNoIdentity) {
			t.Errorf("%s: got %q, %v; want ErrNoIdentity", where, got, err)
		}
		wantBody(t, outbound.AsNobody(ctx), inner, s.URL, "anonymous")
	}
	w := newFixture(t, "alice")
	w.config.Allow = func(ctx context.Context, alias string) error {
		if alias != "alice" {
			t.Errorf("Allow was called for %q, want %q", alias, "alice")
		}
		try(ctx, "Allow")
		return nil
	}
	w.config.Base = &http.Transport{
		Proxy: p.use,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			try(ctx, "DialContext")
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		GetProxyConnectHeader: func(ctx context.Context, _ *url.URL, _ string) (http.Header, error) {
			try(ctx, "GetProxyConnectHeader")
			return nil, nil
		},
		OnProxyConnectResponse: func(ctx context.Context, _ *url.URL, _ *http.Request, _ *http.Response) error {
			try(ctx, "OnProxyConnectResponse")
			return nil
		},
	}
	wantBody(t, as(t, "alice"), w.client(), s.URL, "alice")
	if len(tried) != 4 {
		t.Errorf("tried in %q, want four places", tried)
	}
}

// The context of an incoming request carries no identity for the next call.
// Covers J11.
func TestContextOfAnIncomingRequestCarriesNoChoice(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "alice")
	c := w.client()
	back := serve(t, nil)
	front := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		_, err := get(r.Context(), c, back.URL)
		if !errors.Is(err, outbound.ErrNoIdentity) {
			t.Error(err)
		}
	})
	wantBody(t, as(t, "alice"), c, front.URL, "")
	if back.conns.Load() != 0 {
		t.Error("the service behind was called")
	}
}

// Two names of one server with one certificate have separate connections, in HTTP/2 too.
// Covers J12.
func TestConnectionsAreNotSharedBetweenHosts(t *testing.T) {
	t.Parallel()
	w := newFixture(t)
	s := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Write([]byte(r.Host + " " + r.RemoteAddr + " " + clientName(r)))
	})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	w.put(w.credential("alice", clientCA.Leaf("alice"), "https://localhost:"+port))
	w.config.Base = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}}
	c := w.client()
	seen := map[string]bool{}
	for range 2 {
		a, err := get(as(t, "alice"), c, "https://localhost:"+port)
		b, err2 := get(outbound.AsNobody(t.Context()), c, "https://127.0.0.1:"+port)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		seen[a], seen[b] = true, true
	}
	wantError(t, as(t, "alice"), c, "https://127.0.0.1:"+port, outbound.ErrOrigin)
	if len(seen) != 2 || s.conns.Load() != 2 {
		t.Errorf("%v, %d connections", seen, s.conns.Load())
	}
	for _, h := range w.takeEvents() {
		if h.Sent != (h.Origin == "https://localhost:"+port) {
			t.Errorf("got %+v, want the certificate at the first origin only", h)
		}
	}
}

// A call to a server whose settings block a client ends with the call's deadline.
// Covers J13.
func TestServerWithBadSettingsEndsWithTheContext(t *testing.T) {
	t.Parallel()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{server.TLS()}, NextProtos: []string{"h2"}, ClientAuth: tls.RequestClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				// SETTINGS with SETTINGS_MAX_FRAME_SIZE (5) of 0.
				conn.Write([]byte{0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0})
				for b := make([]byte, 1024); err == nil; {
					_, err = conn.Read(b)
				}
			}()
		}
	}()
	w := newFixture(t, "alice")
	transport := w.transport()
	ctx, cancel := context.WithCancel(as(t, "alice"))
	result := make(chan error, 1)
	go func() {
		_, err := get(ctx, &http.Client{Transport: transport}, "https://"+l.Addr().String())
		result <- err
	}()
	testkit.Eventually(t, "the handshake", func() bool { return len(w.takeEvents()) > 0 })
	cancel()
	if err := <-result; err == nil {
		t.Error("the call succeeded")
	}
	if got := transport.Stats(); got.InFlight != 0 {
		t.Errorf("got %+v, want no call in flight", got)
	}
}
