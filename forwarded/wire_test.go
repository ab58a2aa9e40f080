package forwarded_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

var full = flag.Bool("full", false, "send 100,000 requests of 100 callers over one connection instead of 3,000")

// response is the answer of the service, with the caller that it identified.
type response struct {
	Caller  string // a common name, or the reason of a refusal
	Gateway bool
	Headers http.Header // identity headers, as received
	Trailer http.Header
}

// openPort opens a port and serves until the test ends.
func openPort(tb testing.TB, mode ports.ClientAuth, v *trust.Verifier, h http.Handler) *ports.Port {
	tb.Helper()
	server := shared().server.TLS()
	port, err := ports.New(ports.Config{
		Name: "test", Addr: "127.0.0.1:0", ClientAuth: mode, Trust: v, Limits: ports.Limits{Drain: 50 * time.Millisecond},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server, nil },
	})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	s := &ports.Server{Handler: h, Ports: []*ports.Port{port}, Ready: func() { close(ready) }, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { ended <- s.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		tb.Fatal(err)
	}
	return port
}

// service returns a handler behind gateways, as in the package comment.
func service(r *forwarded.Receiver) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s := response{Headers: http.Header{}}
		for name, values := range req.Header {
			if idheader.Is(name) {
				s.Headers[name] = values
			}
		}
		conn, ok := ports.FromContext(req.Context())
		if !ok {
			panic("no connection")
		}
		verified, err := conn.VerifiedBy(req.Context(), r.GatewayTrust())
		if s.Gateway = err == nil && r.IsGateway(verified); s.Gateway {
			header := r.Read(req.Header, req.Trailer)
			for name := range s.Headers {
				delete(req.Header, name)
			}
			io.Copy(io.Discard, req.Body)
			caller, err := r.Verify(req.Context(), header)
			if err != nil {
				s.Caller = strings.SplitN(err.Error(), ":", 2)[0]
			} else {
				s.Caller = caller.Leaf().Subject.CommonName
			}
		}
		s.Trailer = req.Trailer
		json.NewEncoder(w).Encode(s)
	})
}

func tlsConfig(p *testpki.Pair, protocols ...string) *tls.Config {
	c := &tls.Config{RootCAs: shared().serverCA.Pool(), ServerName: "localhost", NextProtos: protocols}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if p == nil {
			return &tls.Certificate{}, nil
		}
		own := p.TLS()
		return &own, nil
	}
	return c
}

// client speaks one protocol with one certificate.
func client(tb testing.TB, p *testpki.Pair, protocol string) *http.Client {
	t := &http.Transport{TLSClientConfig: tlsConfig(p, protocol), ForceAttemptHTTP2: protocol == "h2", MaxConnsPerHost: 1}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

var protocols = []string{"http/1.1", "h2"}

func get(tb testing.TB, c *http.Client, port *ports.Port, h http.Header) response {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), "GET", "https://"+port.Addr().String()+"/", nil)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header = h
	return do(tb, c, req)
}

func do(tb testing.TB, c *http.Client, req *http.Request) response {
	tb.Helper()
	res, err := c.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	return decode(tb, res)
}

func decode(tb testing.TB, res *http.Response) (s response) {
	tb.Helper()
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		tb.Fatalf("the answer %s is not JSON: %v", res.Status, err)
	}
	return s
}

// sendRaw sends text unchanged and reads the answer.
func sendRaw(tb testing.TB, port *ports.Port, p *testpki.Pair, request string) response {
	tb.Helper()
	c, err := tls.Dial("tcp", port.Addr().String(), tlsConfig(p, "http/1.1"))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	io.WriteString(c, request)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return decode(tb, res)
}

// Covers F1, F2, F3, F4.
func TestHeadersOnTheWire(t *testing.T) {
	t.Parallel()
	w := shared()
	port := openPort(t, ports.Require, w.gateways, service(receiver(t, forwarded.RFC9440())))
	alice, bob := sequence(w.alice.Cert), sequence(w.bob.Cert)
	for _, x := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"alice", []string{"Client-Cert: " + alice}, "alice"},
		{"any case", []string{"cLIENT-cERT:" + alice + "  "}, "alice"},
		{"no certificate", nil, "no-certificate"},
		{"two lines", []string{"Client-Cert: " + alice, "Client-Cert: " + bob}, "bad-header"},
		{"two cases", []string{"client-cert: " + alice, "CLIENT-CERT: " + alice}, "bad-header"},
		{"one line of two", []string{"Client-Cert: " + alice + ", " + bob}, "bad-header"},
		{"a folded line", []string{"Client-Cert: " + alice + ",\r\n " + bob}, "bad-header"},
		{"a folded value", []string{"Client-Cert: " + alice[:40] + "\r\n " + alice[40:]}, "bad-header"},
		{"an underscore beside it", []string{"Client_Cert: " + bob, "Client-Cert: " + alice}, "bad-header"},
		{"an underscore alone", []string{"client_cert: " + bob}, "bad-header"},
		{"a dot beside it", []string{"Client-Cert: " + alice, "client.cert: " + bob}, "bad-header"},
		{"a chain twin", []string{"Client-Cert: " + alice, "Client-Cert_Chain: " + bob}, "bad-header"},
		{"named in Connection", []string{"Client-Cert: " + alice, "Connection: Client-Cert"}, "alice"},
		{"an announced trailer", []string{"Client-Cert: " + alice, "Trailer: client-cert"}, "bad-header"},
		{"another announced trailer", []string{"Client-Cert: " + alice, "Trailer: Checksum"}, "alice"},
	} {
		body := "\r\n"
		if strings.Contains(strings.Join(x.lines, "\n"), "Trailer:") {
			x.lines, body = append(x.lines, "Transfer-Encoding: chunked"), "\r\n2\r\nhi\r\n0\r\nClient-Cert: "+bob+"\r\nChecksum: 1\r\n\r\n"
		}
		if got := sendRaw(t, port, w.gateway, "POST / HTTP/1.1\r\nHost: localhost\r\n"+strings.Join(append(x.lines, ""), "\r\n")+body); got.Caller != x.want || !got.Gateway {
			t.Errorf("HTTP/1.1, %s: %+v, want %s", x.name, got, x.want)
		}
	}
	// Unannounced trailers arrive after Read.
	if got := sendRaw(t, port, w.gateway, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nClient-Cert: "+bob+"\r\n\r\n"); got.Caller != "no-certificate" {
		t.Errorf("an unannounced trailer: %+v", got)
	}

	h2 := client(t, w.gateway, "h2")
	for _, x := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"alice", http.Header{"Client-Cert": {alice}}, "alice"},
		{"no certificate", nil, "no-certificate"},
		{"two fields", http.Header{"Client-Cert": {alice, bob}}, "bad-header"},
		{"two cases", http.Header{"Client-Cert": {alice}, "CLIENT-CERT": {bob}}, "bad-header"},
		{"an underscore beside it", http.Header{"Client-Cert": {alice}, "client_cert": {bob}}, "bad-header"},
		{"a dot alone", http.Header{"client.cert": {bob}}, "bad-header"},
	} {
		if got := get(t, h2, port, x.h); got.Caller != x.want || !got.Gateway {
			t.Errorf("HTTP/2, %s: %+v, want %s", x.name, got, x.want)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+port.Addr().String()+"/", strings.NewReader("hi"))
	req.Header, req.Trailer, req.ContentLength = http.Header{"Client-Cert": {alice}}, http.Header{"Client-Cert": {bob}}, -1
	if got := do(t, h2, req); got.Caller != "bad-header" {
		t.Errorf("HTTP/2, an announced trailer: %+v", got)
	}

	// Another certificate of the gateways' authority cannot forward certificates, and a
	// user's certificate fails the handshake.
	for _, protocol := range protocols {
		if got := get(t, client(t, w.otherClient, protocol), port, http.Header{"Client-Cert": {alice}}); got.Gateway || got.Caller != "" {
			t.Errorf("%s, another client forwards alice: %+v", protocol, got)
		}
		if res, err := client(t, w.alice, protocol).Get("https://" + port.Addr().String()); err == nil {
			t.Errorf("%s: a user is accepted on the gateways' port: %s", protocol, res.Status)
		}
	}
}

// A gateway sends the requests of many callers on one connection, and none is mixed up.
// Covers F16.
func TestCallersOnOneConnectionAreNotMixed(t *testing.T) {
	t.Parallel()
	w := shared()
	const callers = 100
	requests := 3000
	if *full {
		requests = 100_000
	}
	statements, names := make([]string, callers), make([]string, callers)
	for i := range callers {
		names[i] = fmt.Sprint("caller ", i)
		statements[i] = sequence(w.ca.Leaf(names[i]).Cert)
	}
	var connections sync.Map
	// The cache is too small for all callers.
	inner := service(receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) { c.Cache = callers / 2 }))
	port := openPort(t, ports.Require, w.gateways, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		connections.Store(r.RemoteAddr, true)
		inner.ServeHTTP(rw, r)
	}))
	c := client(t, w.gateway, "h2")
	var next atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for {
				i := int(next.Add(1))
				if i > requests {
					return
				}
				var h http.Header
				want := "no-certificate"
				if pair := i * 7 % (callers + 1); pair < callers {
					h, want = http.Header{"Client-Cert": {statements[pair]}}, names[pair]
				}
				if got := get(t, c, port, h); got.Caller != want {
					t.Errorf("request %d: want %s, got %s", i, want, got.Caller)
					return
				}
			}
		})
	}
	all.Wait()
	n := 0
	connections.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
