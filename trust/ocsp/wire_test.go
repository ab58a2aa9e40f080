package ocsp_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// request is an OCSPRequest. The test parses it independently of the package.
type request struct {
	TBS struct {
		List []struct {
			ID certID
		}
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
	}
}

func TestRequestNamesTheCertificate(t *testing.T) {
	w := newWorld(t)
	w.responder.use(func(rw http.ResponseWriter, der []byte) {
		var q request
		if rest, err := asn1.Unmarshal(der, &q); err != nil || len(rest) > 0 {
			t.Errorf("the request cannot be read: %v", err)
		}
		want := idOf(w.ca.Cert, w.leaf.Cert.SerialNumber)
		if len(q.TBS.List) != 1 || len(q.TBS.Extensions) != 0 {
			t.Fatalf("the request is %+v", q)
		}
		if id := q.TBS.List[0].ID; !bytes.Equal(id.Name, want.Name) || !bytes.Equal(id.Key, want.Key) || id.Serial.Cmp(want.Serial) != 0 {
			t.Errorf("the request is for %+v, want %+v", id, want)
		}
		write(rw, w.reply())
	})
	w.expect(t, trust.StatusGood)
}

func TestOnlyTheSentNonceIsAccepted(t *testing.T) {
	for _, row := range []struct {
		name string
		echo func(sent pkix.Extension) []pkix.Extension
		want trust.Status
	}{
		{"echoed", func(e pkix.Extension) []pkix.Extension { return []pkix.Extension{e} }, trust.StatusGood},
		{"echoed, critical", func(e pkix.Extension) []pkix.Extension { e.Critical = true; return []pkix.Extension{e} }, trust.StatusGood},
		{"missing", func(pkix.Extension) []pkix.Extension { return nil }, trust.StatusUnknown},
		{"altered", func(e pkix.Extension) []pkix.Extension { e.Value[9] ^= 1; return []pkix.Extension{e} }, trust.StatusUnknown},
		{"cut", func(e pkix.Extension) []pkix.Extension {
			e.Value = []byte{4, 1, e.Value[2]}
			return []pkix.Extension{e}
		}, trust.StatusUnknown},
		{"empty", func(e pkix.Extension) []pkix.Extension { e.Value = []byte{4, 0}; return []pkix.Extension{e} }, trust.StatusUnknown},
		{"longer", func(e pkix.Extension) []pkix.Extension { e.Value = append(e.Value, 0); return []pkix.Extension{e} }, trust.StatusUnknown},
		{"twice", func(e pkix.Extension) []pkix.Extension { return []pkix.Extension{e, e} }, trust.StatusUnknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, func(c *ocsp.Config) { c.Nonce = true })
			w.responder.use(func(rw http.ResponseWriter, der []byte) {
				var q request
				must(asn1.Unmarshal(der, &q))
				if len(q.TBS.Extensions) != 1 || !q.TBS.Extensions[0].Id.Equal(oidNonce) || len(q.TBS.Extensions[0].Value) != 34 {
					t.Fatalf("no nonce of 32 bytes: %+v", q.TBS.Extensions)
				}
				write(rw, w.reply(func(r *reply) { r.Extensions = row.echo(q.TBS.Extensions[0]) }))
			})
			w.expect(t, row.want)
		})
	}
}

// Each query has its own nonce: the answer to an earlier query does not match.
func TestNonceIsNewEachTime(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Nonce = true })
	var first []byte
	w.responder.use(func(rw http.ResponseWriter, der []byte) {
		var q request
		must(asn1.Unmarshal(der, &q))
		if first == nil {
			first = w.reply(func(r *reply) { r.Extensions = q.TBS.Extensions })
		}
		write(rw, first)
	})
	w.expect(t, trust.StatusGood)
	w.clock.forward(61 * minute)
	w.expect(t, trust.StatusUnknown)
	w.responder.wantQueries(t, 2)
}

func TestWireFailures(t *testing.T) {
	elsewhere := newResponder(t)
	for _, row := range []struct {
		name  string
		serve func(w *world, rw http.ResponseWriter)
		want  string
	}{
		{"500", func(_ *world, rw http.ResponseWriter) { rw.WriteHeader(500) }, "HTTP 500"},
		{"500 with a good answer", func(w *world, rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", "application/ocsp-response")
			rw.WriteHeader(500)
			rw.Write(w.reply()) // a test's server
		}, "HTTP 500"},
		{"201", func(_ *world, rw http.ResponseWriter) { rw.WriteHeader(201) }, "HTTP 201"},
		{"wrong content type", func(w *world, rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", "text/html; x=\"\xff\"")
			rw.Write(w.reply()) // a test's server
		}, "content type"},
		{"no content type", func(w *world, rw http.ResponseWriter) {
			rw.Header()["Content-Type"] = nil
			rw.Write(w.reply()) // a test's server
		}, "content type"},
		{"too large", func(w *world, rw http.ResponseWriter) { write(rw, append(w.reply(), make([]byte, 64<<10)...)) }, "larger than 64 KiB"},
		{"endless", func(_ *world, rw http.ResponseWriter) {
			rw.Header().Set("Content-Type", "application/ocsp-response")
			for {
				if _, err := rw.Write(make([]byte, 4<<10)); err != nil {
					return
				}
			}
		}, "larger than 64 KiB"},
		{"307", func(_ *world, rw http.ResponseWriter) {
			rw.Header().Set("Location", elsewhere.URL)
			rw.WriteHeader(307)
		}, "HTTP 307"},
		{"302", func(_ *world, rw http.ResponseWriter) {
			rw.Header().Set("Location", elsewhere.URL)
			rw.WriteHeader(302)
		}, "HTTP 302"},
		{"cut off", func(w *world, rw http.ResponseWriter) {
			rw.Header().Set("Content-Length", "5000")
			write(rw, w.reply())
		}, "cannot be reached"},
		{"closed", func(*world, http.ResponseWriter) { panic(http.ErrAbortHandler) }, "cannot be reached"},
		{"not HTTP", func(_ *world, rw http.ResponseWriter) {
			conn, _, _ := rw.(http.Hijacker).Hijack()
			conn.Write([]byte("\x1b[31mHELO \x00\xff" + strings.Repeat("x", 5000) + "\r\n\r\n")) // a test's server
			conn.Close()
		}, "cannot be reached"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t)
			w.responder.use(func(rw http.ResponseWriter, _ []byte) { row.serve(w, rw) })
			if err := w.expect(t, trust.StatusUnknown); !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v: does not contain %q", err, row.want)
			}
			w.responder.wantQueries(t, 1)
		})
	}
	elsewhere.wantQueries(t, 0)
}

func TestSlowResponder(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Timeout = 100 * time.Millisecond })
	release := make(chan struct{})
	w.responder.use(func(http.ResponseWriter, []byte) { <-release })
	defer close(release)
	start := time.Now()
	err := w.expect(t, trust.StatusUnknown)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took > 1900*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// A body that arrives byte by byte must end within the timeout too.
func TestTricklingResponder(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) { c.Timeout = 100 * time.Millisecond })
	whole := w.reply()
	w.responder.use(func(rw http.ResponseWriter, _ []byte) {
		rw.Header().Set("Content-Type", "application/ocsp-response")
		for i := range whole {
			if _, err := rw.Write(whole[i : i+1]); err != nil {
				return
			}
			rw.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	if err := w.expect(t, trust.StatusUnknown); !strings.Contains(err.Error(), "in time") {
		t.Errorf("the error is %v", err)
	}
}

func TestCallerThatCannotWait(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.responder.use(func(rw http.ResponseWriter, _ []byte) { <-release; write(rw, w.reply()) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	status, until, err := w.client.Status(ctx, w.leaf.Cert, w.ca.Cert)
	if status != trust.StatusUnknown || !until.IsZero() || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %d, %v, %v", status, until, err)
	}
	// The query goes on for the next caller.
	close(release)
	w.expect(t, trust.StatusGood)
	w.responder.wantQueries(t, 1)
	// A caller whose deadline has passed still gets the cached status.
	if status, _, _ := w.client.Status(ctx, w.leaf.Cert, w.ca.Cert); status != trust.StatusGood {
		t.Errorf("got %d, want %d", status, trust.StatusGood)
	}
	other := w.ca.Leaf("bob")
	if status, _, err := w.client.Status(ctx, other.Cert, w.ca.Cert); status != trust.StatusUnknown || err == nil {
		t.Errorf("got %d, %v", status, err)
	}
	time.Sleep(20 * time.Millisecond) // a query would arrive within this time
	w.responder.wantQueries(t, 1)
}

// Covers B19.
func TestURLIsNeverTakenFromACertificate(t *testing.T) {
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	named := func(c *x509.Certificate) {
		c.OCSPServer, c.IssuingCertificateURL = []string{canary.URL + "/ocsp"}, []string{canary.URL + "/ca"}
		c.CRLDistributionPoints = []string{canary.URL + "/crl"}
	}
	w := newWorld(t)
	w.leaf = w.ca.Leaf("mallory", named)
	for _, der := range [][]byte{
		{0x30, 3, 10, 1, 3},
		w.reply(func(r *reply) { r.signedBy(delegate(w.ca, named)) }),
	} {
		w.responder.answer(der)
		w.status(t)
		w.clock.forward(minute)
	}
	w.responder.wantQueries(t, 2)
	w.responder.Close() // nor when the configured responder is down
	w.clock.forward(2 * hour)
	w.expect(t, trust.StatusUnknown)
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests to the certificate's URLs", n)
	}
}

// proxied counts the requests to the proxy of the environment. net/http reads the variable
// once, so TestMain sets it for every test; net/http uses no proxy for loopback.
var proxied atomic.Int64

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	os.Setenv("HTTP_PROXY", proxy.URL) // TestNoProxyOfTheEnvironment would see it
	m.Run()
}

func TestNoProxyOfTheEnvironment(t *testing.T) {
	w := newWorld(t, func(c *ocsp.Config) {
		c.URL = "http://192.0.2.1" // reserved for documentation (RFC 5737)
		c.Timeout = 100 * time.Millisecond
	})
	plain := must(http.NewRequest(http.MethodGet, "http://192.0.2.1", nil)) // never sent
	if u, err := http.ProxyFromEnvironment(plain); err != nil || u == nil {
		t.Fatalf("the environment has no proxy: %v", err)
	}
	w.expect(t, trust.StatusUnknown)
	if n := proxied.Load(); n != 0 {
		t.Errorf("%d requests to the proxy", n)
	}
}

// Of a configured HTTP client, the transport is used, but not its cookies and redirects.
func TestGivenClient(t *testing.T) {
	var hits atomic.Int64
	w := newWorld(t, func(c *ocsp.Config) {
		c.URL = "http://ocsp.test"
		c.Client = &http.Client{
			Jar:           jar{t},
			CheckRedirect: func(*http.Request, []*http.Request) error { t.Error("a redirect is followed"); return nil },
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				hits.Add(1)
				rec := httptest.NewRecorder()
				rec.Header().Set("Location", "http://elsewhere.test")
				rec.WriteHeader(307)
				return rec.Result(), nil
			}),
		}
	})
	w.expect(t, trust.StatusUnknown)
	if hits.Load() != 1 {
		t.Errorf("%d requests", hits.Load())
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type jar struct{ t *testing.T }

func (j jar) SetCookies(*url.URL, []*http.Cookie) { j.t.Error("a cookie is kept") }
func (j jar) Cookies(*url.URL) []*http.Cookie     { j.t.Error("a cookie is sent"); return nil }

func TestUnreachableResponderIsUnknown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	w := newWorld(t, func(c *ocsp.Config) { c.URL = "http://" + l.Addr().String() })
	w.expect(t, trust.StatusUnknown)
}

func TestNewReportsEveryError(t *testing.T) {
	for text, want := range map[string]string{
		"": "is missing", "ftp://a": "neither", "http://": "no host", "http://:80": "no host", "//host": "neither",
		"http://u@host": "a user", "http://host/#x": "a fragment", "http://host:x": "cannot be read", "file:///etc": "neither",
	} {
		if _, err := ocsp.New(ocsp.Config{URL: text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	_, err := ocsp.New(ocsp.Config{Timeout: -1, MaxAge: -1, Concurrent: -1})
	if n := len(configerror.All(err)); n != 4 {
		t.Errorf("%d errors: %v", n, err)
	}
}

func TestNotTheIssuer(t *testing.T) {
	w := newWorld(t)
	for _, pair := range [][2]*x509.Certificate{{nil, w.ca.Cert}, {w.leaf.Cert, nil}, {w.leaf.Cert, w.leaf.Cert}, {{}, {}}} {
		if status, _, err := w.client.Status(t.Context(), pair[0], pair[1]); status != trust.StatusUnknown || err == nil {
			t.Errorf("got %d, %v", status, err)
		}
	}
	w.responder.wantQueries(t, 0)
}
