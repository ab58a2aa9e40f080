package mtlsguardtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// handshakes collects the reasons of refused handshakes.
type handshakes struct {
	mu  sync.Mutex
	all []reason.Reason
}

func (h *handshakes) add(s ports.Handshake) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Err != nil {
		h.all = append(h.all, s.Reason)
	}
}

func (h *handshakes) has(why reason.Reason) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.all {
		if r == why {
			return true
		}
	}
	return false
}

// Each client is refused for its own reason and for no other, by the checks of production.
func TestClientsAreServedOrRefusedForTheirReason(t *testing.T) {
	t.Parallel()
	const h2 = "200 alice true Authenticated,Everybody internal HTTP/2.0"
	for _, row := range []struct {
		name   string
		client func(*mtlsguardtest.Server) *http.Client
		want   [3]string     // for require, request, and request with strict: false
		reason reason.Reason // of the refused handshake
	}{
		{"alice", func(s *mtlsguardtest.Server) *http.Client { return s.Client("alice") }, [3]string{"200 alice", "200 alice", "200 alice"}, ""},
		{"HTTP/2", func(s *mtlsguardtest.Server) *http.Client {
			return s.Client("alice", mtlsguardtest.WithTransport(func(t *http.Transport) { t.Protocols.SetHTTP2(true) }))
		}, [3]string{h2, h2, h2}, ""},
		{"another user", func(s *mtlsguardtest.Server) *http.Client { return s.Client("orders-api") }, [3]string{"403 denied", "403 denied", "403 denied"}, ""},
		{"anonymous", func(s *mtlsguardtest.Server) *http.Client { return s.Anonymous() }, [3]string{"handshake", "403 no-certificate", "200 Default"}, reason.NoCertificate},
		{"untrusted", func(s *mtlsguardtest.Server) *http.Client { return s.Untrusted() }, [3]string{"handshake", "handshake", "handshake"}, reason.UnknownAuthority},
		{"expired", func(s *mtlsguardtest.Server) *http.Client { return s.Expired() }, [3]string{"handshake", "handshake", "handshake"}, reason.Expired},
		{"revoked", func(s *mtlsguardtest.Server) *http.Client { return s.Revoked(mtlsguardtest.ForUser("bob")) }, [3]string{"handshake", "handshake", "handshake"}, reason.Revoked},
		{"stranger", func(s *mtlsguardtest.Server) *http.Client { return s.Stranger() }, [3]string{"403 unmapped", "403 unmapped", "403 unmapped"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for i, options := range [][]mtlsguardtest.Option{nil, {mtlsguardtest.WithClientAuth(ports.Request)}, {mtlsguardtest.WithClientAuth(ports.Request), mtlsguardtest.WithStrict(false)}} {
				refused := &handshakes{}
				s := mtlsguardtest.NewServer(t, whoami, append(options, mtlsguardtest.WithOptions(mtlsguard.Options{OnHandshake: refused.add}),
					mtlsguardtest.WithPolicy("p, group:Everybody, *, GET, /*, allow\np, user:orders-api, *, *, /*, deny"))...)
				if got := get(row.client(s), s.URL+"/orders/7"); !strings.HasPrefix(got, row.want[i]) {
					t.Errorf("%d: got %q, want %q", i, got, row.want[i])
				}
				if row.want[i] == "handshake" {
					waitFor(t, "the reason "+string(row.reason), func() bool { return refused.has(row.reason) })
				}
			}
		})
	}
}

// The error of a client that is refused names the alert, as docs/testing.md says.
func TestErrorOfARefusedClientNamesTheAlert(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	s := mtlsguardtest.NewServer(t, whoami)
	for name, client := range map[string]*http.Client{"Anonymous": s.Anonymous(), "Untrusted": s.Untrusted(), "Expired": s.Expired(), "Revoked": s.Revoked()} {
		_, rest, _ := strings.Cut(string(page), "| `"+name+"()` |")
		_, rest, _ = strings.Cut(rest, "a failed handshake: `")
		want, _, _ := strings.Cut(rest, "`")
		if _, err := client.Get(s.URL); err == nil || !strings.HasSuffix(err.Error(), want) || !strings.HasPrefix(want, "tls: ") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// Every user name of a policy can be the user of a client, without being declared.
func TestClientMapsEveryUserName(t *testing.T) {
	t.Parallel()
	s := mtlsguardtest.NewServer(t, whoami)
	for _, user := range []string{"a", "7", "Orders.API_1@acme-x.example", "UPPER", strings.Repeat("x", 128), "users", "alice"} {
		t.Run(user, func(t *testing.T) {
			t.Parallel() // subtests share a server
			if got := get(s.Client(user), s.URL); !strings.HasPrefix(got, "200 "+user+" ") {
				t.Errorf("got %q", got)
			}
			if got := get(s.Client("alice"), s.URL); !strings.HasPrefix(got, "200 alice ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

// Other programs get the certificate that Client sends: as a value, as settings and as a file.
func TestCertificateOfAUserIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	fingerprint := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		io.WriteString(w, id.Fingerprint)
	})
	s := mtlsguardtest.NewServer(t, fingerprint)
	leaf := s.Certificate("alice").Leaf
	want := "200 " + trust.FingerprintOf(leaf).String()
	folder := t.TempDir()
	s.WriteFiles(folder, "alice", "bob")
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "alice.pem"), filepath.Join(folder, "alice-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if pem, err := os.ReadFile(filepath.Join(folder, "server-ca.pem")); err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"TLSConfig":  s.TLSConfig("alice"),
		"WriteFiles": {RootCAs: roots, Certificates: []tls.Certificate{pair}},
	} {
		transport := &http.Transport{TLSClientConfig: config}
		defer transport.CloseIdleConnections()
		if got := get(&http.Client{Transport: transport}, s.URL); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := get(s.Client("alice"), s.URL); got != want {
		t.Errorf("Client: %s, want %s", got, want)
	}
	if got := get(s.Client("bob"), s.URL); got == want {
		t.Error("bob has alice's certificate")
	}
}

// A program with its own http.Server is tested with its own code, from the first request to the
// end.
func TestWithServeRunsTheProgramsOwnServer(t *testing.T) {
	t.Parallel()
	ended := false
	t.Run("inner", func(t *testing.T) {
		s := mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithGroups("alice", "admins"), mtlsguardtest.WithServe(func(ctx context.Context, server *mtlsguard.Server) error {
			defer func() { ended = true }()
			return serveOwn(ctx, server, server.Guard().RequireGroup("admins")(whoami))
		}))
		for user, want := range map[string]string{"alice": "200 alice", "bob": "403 denied"} {
			if got := get(s.Client(user), s.URL); !strings.HasPrefix(got, want) {
				t.Errorf("%s: got %s, want %v", user, got, want)
			}
		}
	})
	if !ended {
		t.Error("the test ended before the server did")
	}
}

// serveOwn serves with an http.Server of its own.
func serveOwn(ctx context.Context, server *mtlsguard.Server, h http.Handler) error {
	port := server.Ports()[0]
	listener, err := port.Listen(ctx)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: server.Handler(h)}
	if err := port.Configure(srv); err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx); srv.Shutdown(context.Background()) }()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-ran
}

// The log of the server is the test's: a refusal that surprises is explained there.
func TestLogOfTheTestNamesTheReason(t *testing.T) {
	t.Parallel()
	r := record(t, func(t testing.TB) {
		s := mtlsguardtest.NewServer(t, whoami, mtlsguardtest.WithPolicy("p, user:bob, *, GET, /*, allow"))
		get(s.Client("alice"), s.URL+"/orders")
	})
	if text := r.out.String(); !strings.Contains(text, `"reason":"no-rule"`) || !strings.Contains(text, `"user":"alice"`) || r.text() != "" {
		t.Errorf("log %s, failures %s", text, r.text())
	}
}
