package middleware_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// gatewayPairs holds the certificates of the clients in front of the service: gateways, and
// others.
type gatewayPairs struct {
	ca             *testpki.Pair
	gateway, other *testpki.Pair            // both under ca; other is not a gateway
	pairs          map[string]*testpki.Pair // by the name of the client
}

const gatewayName = "gateway.acme.example"

var gatewayPKI = sync.OnceValue(func() *gatewayPairs {
	named := func(name string) testpki.Option { return func(c *x509.Certificate) { c.DNSNames = []string{name} } }
	e := &gatewayPairs{ca: testpki.NewCA("Gateway CA")}
	e.gateway, e.other = e.ca.Leaf("gateway", named(gatewayName)), e.ca.Leaf("other", named("other.acme.example"))
	e.pairs = map[string]*testpki.Pair{
		"gateway": e.gateway, "not a gateway": e.other, "alice": shared().alice, "": nil,
		"a user with a gateway's name": shared().ca.Leaf("gateway", named(gatewayName)),
	}
	return e
})

func trusting(tb testing.TB, now func() time.Time, crls []*x509.RevocationList, anchors ...*testpki.Pair) *trust.Verifier {
	tb.Helper()
	c := trust.Config{Now: now, CRLs: crls}
	for _, a := range anchors {
		c.Anchors = append(c.Anchors, a.Cert)
	}
	return must[*trust.Verifier](tb)(trust.New(c))
}

// newReceiver returns a receiver for RFC 9440 headers of gateways.
func newReceiver(tb testing.TB, change ...func(*forwarded.Config)) *forwarded.Receiver {
	tb.Helper()
	c := forwarded.Config{
		Topology: forwarded.RFC9440(), Users: newTrust(tb, nil),
		Gateways: forwarded.Gateways{Names: []string{gatewayName}, Trust: trusting(tb, nil, nil, gatewayPKI().ca)},
	}
	for _, f := range change {
		f(&c)
	}
	return must[*forwarded.Receiver](tb)(forwarded.New(c))
}

// newGatewayPort returns a port that trusts the authority of gateways and that of users.
func newGatewayPort(tb testing.TB, name string, mode ports.ClientAuth) *ports.Port {
	tb.Helper()
	return newPort(tb, name, mode, func(c *ports.Config) { c.Trust = trusting(tb, nil, nil, gatewayPKI().ca, shared().ca) })
}

// withReceiver returns a change of a Config: the port accepts forwarded certificates by r.
func withReceiver(name string, r *forwarded.Receiver, fallback middleware.Fallback) func(*middleware.Config) {
	return func(c *middleware.Config) {
		if c.PerPort == nil {
			c.PerPort = map[string]middleware.PortConfig{}
		}
		c.PerPort[name] = middleware.PortConfig{Forwarded: r, Fallback: fallback}
	}
}

func sequence(c *x509.Certificate) string {
	return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":"
}

// forwards returns a change of a request that forwards a certificate.
func forwards(p *testpki.Pair) func(*http.Request) {
	if p == nil {
		return func(*http.Request) {}
	}
	return header("Client-Cert", sequence(p.Cert))
}

// Every connection with every forwarded certificate. The gateway itself is never a user, only
// a gateway can forward a certificate, and a forwarded certificate is verified like the
// connection's own.
// Covers F1, F2, F9, F11, F14.
func TestForwardedCertificateCountsFromGatewaysOnly(t *testing.T) {
	t.Parallel()
	w := shared()
	forwardedCertificates := map[string]func(*http.Request){
		"": func(*http.Request) {}, "nonsense": header("Client-Cert", ":nonsense:"),
		"a CA": header("Client-Cert", sequence(w.ca.Cert)), "the gateway": forwards(gatewayPKI().gateway),
	}
	for name, p := range w.pairs {
		forwardedCertificates[name] = forwards(p)
	}
	answers := map[string]struct {
		code int
		why  reason.Reason
	}{
		"": {403, reason.NoCertificate}, "unmapped": {403, reason.Unmapped}, "both": {403, reason.Ambiguous},
		"untrusted": {403, reason.UnknownAuthority}, "expired": {403, reason.Expired}, "nonsense": {400, reason.BadHeader}, "a CA": {403, reason.NotALeaf},
		"the gateway": {403, reason.UnknownAuthority},
	}
	for _, fallback := range []middleware.Fallback{middleware.Strict, middleware.ToDefault} {
		for _, mode := range []ports.ClientAuth{ports.Request, ports.Require} {
			t.Run(fmt.Sprint(mode, fallback), func(t *testing.T) {
				t.Parallel()
				gate := newGatewayPort(t, "gate", mode)
				var rec recorder
				serve(t, newGuard(t, withReceiver("gate", newReceiver(t), fallback), func(c *middleware.Config) { c.Observe = rec.observe }).Handler(echo), gate)
				for holder, pair := range gatewayPKI().pairs {
					for _, h2 := range []bool{false, true} {
						c := dial(t, gate, pair, h2)
						for what, forward := range forwardedCertificates {
							s, err := c.do("GET", "/x", forward)
							answered := rec.take()
							where := fmt.Sprintf("%q forwards %q, h2 %t: ", holder, what, h2)
							if holder == "" && mode == ports.Require {
								if err == nil {
									t.Error(where + "the handshake succeeded")
								}
								continue
							}
							if err != nil {
								t.Fatal(where, err)
							}
							code, why, user, via := 200, reason.Reason(""), what, identity.Forwarded
							switch a, refused := answers[what]; {
							case holder == "":
								code, why = 403, reason.NoCertificate // for any headers
							case holder != "gateway":
								code, why = 403, reason.UntrustedGateway
							case refused:
								code, why = a.code, a.why
							}
							if why == reason.NoCertificate && fallback == middleware.ToDefault {
								code, why, user, via = 200, "", "Default", identity.ViaAnonymous
							}
							if code != 200 {
								user, via = "", ""
							}
							if s.Code != code || s.Reason != why || s.User != user || s.Via != via {
								t.Errorf("%sanswered %d %s %q by %q, want %d %s %q by %q", where, s.Code, s.Reason, s.User, s.Via, code, why, user, via)
							}
							if len(answered) != 1 {
								t.Fatalf("%s%d outcomes", where, len(answered))
							}
							o := answered[0]
							if pair == nil != o.Gateway.IsZero() && why != reason.UntrustedGateway || holder == "gateway" && o.Gateway.Fingerprint() != trust.FingerprintOf(pair.Cert) {
								t.Errorf("%sthe outcome names the gateway %v", where, o.Gateway.Fingerprint())
							}
							if verified := holder == "gateway" && (code == 200 && user != "Default" || why == reason.Unmapped || why == reason.Ambiguous); verified != !o.Verified.IsZero() ||
								verified && o.Verified.Fingerprint() != trust.FingerprintOf(w.pairs[what].Cert) {
								t.Errorf("%sthe outcome names the certificate %v", where, o.Verified.Fingerprint())
							}
							if s.Headers.Get("Client-Cert") != "" {
								t.Errorf("%sthe handler sees the header", where)
							}
						}
					}
				}
			})
		}
	}
}

// A user's own certificate identifies no user on the gateways' port.
// Covers F2.
func TestUserCannotForwardACertificate(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		gate := newGatewayPort(t, "gate", ports.Require)
		serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault)).Handler(echo), gate)
		for _, forward := range []func(*http.Request){forwards(nil), forwards(shared().alice), forwards(shared().bob), header("Client-Cert", "x")} {
			dial(t, gate, shared().alice, h2).get("/x", forward).want(t, 403, reason.UntrustedGateway)
		}
		if _, err := dial(t, gate, shared().untrusted, h2).do("GET", "/x", forwards(shared().bob)); err == nil {
			t.Error("the handshake with an untrusted certificate succeeded")
		}
	})
}

// With a pinned gateway, no other certificate of its authority is a gateway.
// Covers F2.
func TestPinnedGateway(t *testing.T) {
	t.Parallel()
	gate := newGatewayPort(t, "gate", ports.Require)
	r := newReceiver(t, func(c *forwarded.Config) {
		c.Gateways = forwarded.Gateways{Pins: []trust.Digest{trust.FingerprintOf(gatewayPKI().other.Cert)}, Trust: trusting(t, nil, nil, gatewayPKI().ca)}
	})
	serve(t, newGuard(t, withReceiver("gate", r, middleware.Strict)).Handler(echo), gate)
	dial(t, gate, gatewayPKI().other, true).get("/x", forwards(shared().alice)).wantUser(t, "alice")
	dial(t, gate, gatewayPKI().gateway, true).get("/x", forwards(shared().alice)).want(t, 403, reason.UntrustedGateway)
}

// A forwarded certificate on another port than the gateways', or in a header that the
// topology does not use, changes nothing. The headers of a topology are deleted on every
// port.
// Covers F1, F3, F17.
func TestForwardedHeadersAreDeletedOnEveryPort(t *testing.T) {
	t.Parallel()
	const own = "Acme-Caller-Cert"
	w := shared()
	r := newReceiver(t, func(c *forwarded.Config) { c.Topology = forwarded.Nginx(own, "Acme-Caller-Verdict") })
	open := []*ports.Port{newGatewayPort(t, "gate", ports.Require), newPort(t, "none", ports.None), newPort(t, "request", ports.Request), newPort(t, "require", ports.Require)}
	serve(t, newGuard(t, withReceiver("gate", r, middleware.ToDefault), func(c *middleware.Config) { c.Fallback = middleware.ToDefault; ownHeaders(c) }).Handler(echo), open...)
	escaped := url.PathEscape(string(w.bob.CertPEM()))
	for _, h2 := range []bool{false, true} {
		for i, caller := range []struct {
			pair *testpki.Pair
			user string
		}{{gatewayPKI().gateway, "alice"}, {nil, "Default"}, {nil, "Default"}, {w.alice, "alice"}} {
			c := dial(t, open[i], caller.pair, h2)
			genuine := func(r *http.Request) {
				if i == 0 {
					r.Header[own], r.Header["Acme-Caller-Verdict"] = []string{url.PathEscape(string(w.alice.CertPEM()))}, []string{"SUCCESS"}
				}
			}
			names := append([]string{own + "-Chain", own + "-"}, identityHeaders...)
			if i > 0 { // on the gateways' port these are the genuine headers
				names = append(names, own, "Acme-Caller-Verdict")
			}
			for _, name := range names {
				c.get("/x", genuine, header(name, escaped), header(strings.ToLower(name)+"-2", sequence(w.bob.Cert))).wantUser(t, caller.user)
			}
			for _, name := range spellings(own) {
				if i == 0 {
					continue
				}
				s := c.get("/x", header(name, escaped))
				s.wantUser(t, caller.user)
				for arrived := range s.Headers {
					if strings.HasPrefix(strings.ToLower(arrived), "acme") {
						t.Errorf("%s: %s arrived as %s", open[i].Name(), name, arrived)
					}
				}
			}
		}
	}
}

// A request with a malformed forwarded certificate is refused, and does not count as one
// without a certificate. The connection goes on for the gateway's other callers.
// Covers F3, F4, F8, F10, F15.
func TestMalformedForwardedCertificateIsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	alice, bob := sequence(w.alice.Cert), sequence(w.bob.Cert)
	for name, change := range map[string]func(*http.Request){
		"twice":          func(r *http.Request) { r.Header["Client-Cert"] = []string{alice, bob} },
		"the same twice": func(r *http.Request) { r.Header["Client-Cert"] = []string{alice, alice} },
		"a list":         header("Client-Cert", alice+", "+bob),
		"in two cases": func(r *http.Request) {
			r.Header["client-cert"], r.Header["Client-Cert"] = []string{bob}, []string{alice}
		},
		"an underscore": header("Client_Cert", bob),
		"an underscore, additional": func(r *http.Request) {
			r.Header["Client_cert"], r.Header["Client-Cert"] = []string{bob}, []string{alice}
		},
		"a dot": header("client.cert", bob),
		"a dot, additional": func(r *http.Request) {
			r.Header["CLIENT.CERT"], r.Header["Client-Cert"] = []string{bob}, []string{alice}
		},
		"empty":             header("Client-Cert", ""),
		"an empty sequence": header("Client-Cert", "::"),
		"a parameter":       header("Client-Cert", alice+";x"),
		"no colons":         header("Client-Cert", strings.Trim(alice, ":")),
		"a blank inside":    header("Client-Cert", alice[:9]+" "+alice[9:]),
		"PEM":               header("Client-Cert", url.PathEscape(string(w.alice.CertPEM()))),
		"extra bytes":       header("Client-Cert", ":"+base64.StdEncoding.EncodeToString(append(slices.Clone(w.alice.Cert.Raw), 0))+":"),
		"two certificates":  header("Client-Cert", ":"+base64.StdEncoding.EncodeToString(slices.Concat(w.alice.Cert.Raw, w.ca.Cert.Raw))+":"),
		"a chain alone":     header("Client-Cert-Chain", sequence(w.ca.Cert)),
		"two chains": func(r *http.Request) {
			r.Header["Client-Cert"] = []string{alice}
			r.Header["Client-Cert-Chain"] = []string{sequence(w.ca.Cert), bob}
		},
		"a long chain": func(r *http.Request) {
			r.Header["Client-Cert"] = []string{alice}
			r.Header["Client-Cert-Chain"] = []string{strings.Repeat(bob+", ", 10) + bob}
		},
		"more than 16 KiB": header("Client-Cert", ":"+strings.Repeat("QUFB", 4100)+":"),
		"announced as a trailer": func(r *http.Request) {
			body(r)
			r.Header["Client-Cert"] = []string{alice}
			r.Trailer = http.Header{"Client-Cert": {bob}}
		},
		"a trailer alone": func(r *http.Request) { body(r); r.Trailer = http.Header{"Client-Cert": {alice}} },
		"a trailer of its issuers": func(r *http.Request) {
			body(r)
			r.Header["Client-Cert"] = []string{alice}
			r.Trailer = http.Header{"Client-Cert-Chain": {bob}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, h2 bool) {
				gate := newGatewayPort(t, "gate", ports.Require)
				serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault)).Handler(echo), gate)
				c := dial(t, gate, gatewayPKI().gateway, h2)
				c.get("/x", forwards(w.alice)).wantUser(t, "alice")
				c.get("/x", change).want(t, 400, reason.BadHeader)
				same := reused(t)
				if strings.Contains(name, "trailer") {
					same = func(*http.Request) {} // a client may open a new connection if its body is not read
				}
				c.get("/x", same, forwards(w.bob)).wantUser(t, "bob")
				c.get("/x", same).wantUser(t, "Default")
			})
		})
	}
}

func body(r *http.Request) {
	r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader("body")), -1
}

// A trailer that was not announced arrives after the decision, and is deleted.
// Covers F15.
func TestUnannouncedTrailerIsDeleted(t *testing.T) {
	t.Parallel()
	gate := newGatewayPort(t, "gate", ports.Require)
	serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault)).Handler(echo), gate)
	for _, own := range []string{"", "Client-Cert: " + sequence(shared().alice.Cert) + "\r\n"} {
		c := dialRaw(t, gate, gatewayPKI().gateway, "http/1.1")
		s := c.send("POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n" + own +
			"\r\n4\r\nbody\r\n0\r\nX-Sum: 7\r\nClient-Cert: " + sequence(shared().bob.Cert) + "\r\n\r\n")
		user := "Default"
		if own != "" {
			user = "alice"
		}
		if s.wantUser(t, user); !reflect.DeepEqual(s.Trailers, http.Header{"X-Sum": {"7"}}) {
			t.Errorf("trailers %v", s.Trailers)
		}
	}
}

// A client can make a gateway drop its headers. With a topology that marks "no certificate",
// missing headers are refused. A name in Connection has no effect here.
// Covers F5.
func TestMissingForwardedHeaderIsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	der := base64.StdEncoding.EncodeToString(w.alice.Cert.Raw)
	for name, x := range map[string]struct {
		topology         forwarded.Topology
		none, cert, half http.Header // half lacks one header
	}{
		"nginx": {
			forwarded.Nginx("", "X-SSL-Client-Verify"), http.Header{"X-Ssl-Client-Verify": {"NONE"}},
			http.Header{"X-Ssl-Client-Cert": {url.PathEscape(string(w.alice.CertPEM()))}, "X-Ssl-Client-Verify": {"SUCCESS"}}, http.Header{"X-Ssl-Client-Verify": {"SUCCESS"}},
		},
		"haproxy": {
			forwarded.HAProxy("", "X-SSL-Client-Verify"), http.Header{"X-Ssl-Client-Cert": {""}, "X-Ssl-Client-Cert-Chain": {""}, "X-Ssl-Client-Verify": {"0"}},
			http.Header{"X-Ssl-Client-Cert": {der}, "X-Ssl-Client-Cert-Chain": {""}, "X-Ssl-Client-Verify": {"0"}}, http.Header{"X-Ssl-Client-Cert-Chain": {""}, "X-Ssl-Client-Verify": {"0"}},
		},
		"caddy": {forwarded.Caddy(""), http.Header{"X-Client-Cert": {""}}, http.Header{"X-Client-Cert": {der}}, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, h2 bool) {
				gate := newGatewayPort(t, "gate", ports.Require)
				r := newReceiver(t, func(c *forwarded.Config) { c.Topology = x.topology })
				serve(t, newGuard(t, withReceiver("gate", r, middleware.ToDefault)).Handler(echo), gate)
				c := dial(t, gate, gatewayPKI().gateway, h2)
				set := func(h http.Header) func(*http.Request) {
					return func(r *http.Request) {
						for name, values := range h {
							r.Header[name] = values
						}
					}
				}
				c.get("/x", set(x.none)).wantUser(t, "Default")
				c.get("/x", set(x.cert)).wantUser(t, "alice")
				c.get("/x", set(x.half)).want(t, 400, reason.BadHeader)
				c.get("/x").want(t, 400, reason.BadHeader)
				if !h2 {
					c.get("/x", set(x.cert), header("Connection", strings.Join(r.Headers(), ", "))).wantUser(t, "alice")
				}
			})
		})
	}
}

// The forwarded headers are deleted before authenticators, handlers, Refuse and Observe see
// the request. Answers have Vary for them.
// Covers F13.
func TestForwardedHeaderReachesNoOneElse(t *testing.T) {
	t.Parallel()
	var seenBy sync.Map
	look := func(reader string, r *http.Request) {
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "cert") {
				seenBy.Store(reader, name)
			}
		}
	}
	gate := newGatewayPort(t, "gate", ports.Require)
	guard := newGuard(t, func(c *middleware.Config) {
		c.Policy = newPolicy(t, "p, group:Everybody, gate, *, /x, allow")
		c.PerPort = map[string]middleware.PortConfig{"gate": {Forwarded: newReceiver(t), Fallback: middleware.ToDefault, Authenticators: []middleware.Authenticator{
			authFuncOf(func(r *http.Request) (string, error) { look("authenticator", r); return "", nil }),
		}}}
		c.Refuse = func(_ http.ResponseWriter, r *http.Request, _ middleware.Outcome) { look("refuse", r) }
		c.Observe = func(r *http.Request, _ middleware.Outcome) { look("observe", r) }
	})
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { look("handler", r); echo(w, r) })
	mux := http.NewServeMux()
	mux.Handle("/", guard.Handler(inner))
	mux.Handle("/parts/", http.StripPrefix("/parts", guard.Identify(http.StripPrefix("/y", guard.Authorize(inner)))))
	serve(t, mux, gate)
	for _, h2 := range []bool{false, true} {
		c := dial(t, gate, gatewayPKI().gateway, h2)
		for _, x := range []struct {
			target string
			change func(*http.Request)
			code   int
		}{
			{"/x", forwards(shared().alice), 200}, {"/x", forwards(nil), 200}, {"/z", forwards(shared().alice), 403}, {"/x", header("Client-Cert", "x"), 400},
			{"/x", header("Client_Cert", "x"), 400}, {"/parts/y/x", forwards(shared().alice), 200}, {"/parts/y/z", forwards(shared().alice), 403},
		} {
			s := c.get(x.target, x.change)
			if s.Code != x.code {
				t.Errorf("%s: answered %d, want %d: %s", x.target, s.Code, x.code, s.Body)
			}
			if s.Answer.Get("Vary") != "Client-Cert, Client-Cert-Chain" {
				t.Errorf("%s: Vary %q", x.target, s.Answer.Values("Vary"))
			}
			if s.Code != 200 && s.Answer.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: a refusal may be cached", x.target)
			}
		}
	}
	seenBy.Range(func(reader, name any) bool { t.Errorf("%v sees %v", reader, name); return true })
}

// On its port, a gateway is not a user, even if its certificate is mapped or if unmapped
// certificates have a user.
// Covers F14.
func TestMappedGatewayIsNoUser(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		m := append(mappings(), certmap.Mapping{ID: "m-gateway", User: "gateway", Fingerprint: trust.FingerprintOf(gatewayPKI().gateway.Cert)})
		gate := newGatewayPort(t, "gate", ports.Require)
		direct := newGatewayPort(t, "direct", ports.Require)
		serve(t, newGuard(t, func(c *middleware.Config) {
			c.Map = must[*certmap.Table](t)(certmap.New(m...))
			c.PerPort = map[string]middleware.PortConfig{"gate": {Forwarded: newReceiver(t), Unmapped: "guest"}, "direct": {}}
		}).Handler(echo), gate, direct)
		c := dial(t, gate, gatewayPKI().gateway, h2)
		c.get("/x").want(t, 403, reason.NoCertificate)
		c.get("/x", forwards(gatewayPKI().gateway)).want(t, 403, reason.UnknownAuthority)
		c.get("/x", forwards(shared().unmapped)).wantUser(t, "guest")
		c.get("/x").want(t, 403, reason.NoCertificate)
		dial(t, direct, gatewayPKI().gateway, h2).get("/x").wantUser(t, "gateway") // on an ordinary port it is a user
	})
}

// Authenticators are called only for a request that forwards no certificate.
// Covers L1.
func TestAuthenticatorsBehindAGateway(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h2 bool) {
		gate := newGatewayPort(t, "gate", ports.Request)
		serve(t, newGuard(t, func(c *middleware.Config) {
			c.PerPort = map[string]middleware.PortConfig{"gate": {Forwarded: newReceiver(t), Authenticators: []middleware.Authenticator{basic}}}
		}).Handler(echo), gate)
		carol := credentials("carol", "secret")
		c := dial(t, gate, gatewayPKI().gateway, h2)
		s := c.get("/x", carol)
		if s.wantUser(t, "carol"); s.Via != identity.Authenticator {
			t.Errorf("via %s, want %s", s.Via, identity.Authenticator)
		}
		c.get("/x", forwards(shared().alice), carol).wantUser(t, "alice")
		c.get("/x", forwards(shared().unmapped), carol).want(t, 403, reason.Unmapped)
		c.get("/x", forwards(shared().late), carol).want(t, 403, reason.Expired)
		c.get("/x", header("Client-Cert", "x"), carol).want(t, 400, reason.BadHeader)
		if s := c.get("/x"); s.Code != 401 {
			t.Errorf("answered %d, want 401", s.Code)
		}
		dial(t, gate, shared().alice, h2).get("/x", carol).want(t, 403, reason.UntrustedGateway)
	})
}

// The explanation of a refusal and Explain name the gateway and the forwarded certificate.
// Covers F13.
func TestExplainNamesTheGateway(t *testing.T) {
	t.Parallel()
	gate := newGatewayPort(t, "gate", ports.Require)
	var rec recorder
	guard := newGuard(t, withReceiver("gate", newReceiver(t), middleware.Strict), func(c *middleware.Config) {
		c.Debug, c.Observe = true, rec.observe
		c.Policy = newPolicy(t, "p, user:alice, gate, GET, /x, allow")
	})
	serve(t, guard.Handler(echo), gate)
	gateway, alice := trust.FingerprintOf(gatewayPKI().gateway.Cert).String(), trust.FingerprintOf(shared().alice.Cert).String()
	for _, x := range []struct {
		name, target string
		pair         *testpki.Pair
		change       func(*http.Request)
		want, never  []string
	}{
		{"allowed", "/x", gatewayPKI().gateway, forwards(shared().alice), []string{"gateway: fingerprint " + gateway, "certificate: fingerprint " + alice, "user: alice, by forwarded", "policy: "}, nil},
		{"no rule", "/y", gatewayPKI().gateway, forwards(shared().alice), []string{"gateway: fingerprint " + gateway, "certificate: fingerprint " + alice, "mapping: ", "user: alice, by forwarded"}, nil},
		{"none", "/x", gatewayPKI().gateway, forwards(nil), []string{"no-certificate: ", "gateway: fingerprint " + gateway}, []string{"certificate: fingerprint", "user: "}},
		{"expired", "/x", gatewayPKI().gateway, forwards(shared().late), []string{"expired", "gateway: fingerprint " + gateway}, []string{"user: "}},
		{"nonsense", "/x", gatewayPKI().gateway, header("Client-Cert", "x"), []string{"bad-header: ", "gateway: fingerprint " + gateway}, []string{"user: "}},
		{"a bad target", "/x//y", gatewayPKI().gateway, forwards(shared().alice), []string{"ambiguous-path: ", "gateway: fingerprint " + gateway}, []string{"user: "}},
		{"no gateway", "/x", shared().alice, forwards(shared().bob), []string{"untrusted-gateway: "}, []string{"certificate: ", "user: "}},
		{"another name", "/x", gatewayPKI().other, forwards(shared().bob), []string{"untrusted-gateway: ", "gateway: fingerprint " + trust.FingerprintOf(gatewayPKI().other.Cert).String()}, []string{"certificate: ", "user: "}},
	} {
		s := dial(t, gate, x.pair, true).get(x.target, x.change)
		outcomes := rec.take()
		if len(outcomes) != 1 {
			t.Fatalf("%s: %d outcomes", x.name, len(outcomes))
		}
		lines := guard.Explain(outcomes[0])
		if s.Code != 200 && !slices.Equal(s.Explained, lines) {
			t.Errorf("%s: the refusal explains %q, Explain %q", x.name, s.Explained, lines)
		}
		text := strings.Join(lines, "\n")
		for _, part := range x.want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in\n%s", x.name, part, text)
			}
		}
		for _, part := range x.never {
			if strings.Contains(text, part) {
				t.Errorf("%s: %q in\n%s", x.name, part, text)
			}
		}
	}
}

// Check decides as Handler does, and leaves the forwarded headers in the request.
// Covers F13.
func TestCheckBehindAGateway(t *testing.T) {
	t.Parallel()
	gate := newGatewayPort(t, "gate", ports.Require)
	var rec recorder
	guard := newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault), func(c *middleware.Config) { c.Observe = rec.observe })
	h := guard.Handler(echo)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before := r.Clone(r.Context())
		checked := guard.Check(r)
		if !reflect.DeepEqual(before.Header, r.Header) || len(w.Header()) > 0 {
			t.Errorf("Check changed something: %v, was %v; answer %v", r.Header, before.Header, w.Header())
		}
		h.ServeHTTP(w, r)
		for _, o := range rec.take() {
			if o.Allowed != checked.Allowed || o.Reason != checked.Reason || o.Gateway != checked.Gateway || o.Verified != checked.Verified || !reflect.DeepEqual(o.Identity, checked.Identity) {
				t.Errorf("Check returns %+v, Handler %+v", checked, o)
			}
		}
	}), gate)
	for _, holder := range []*testpki.Pair{gatewayPKI().gateway, gatewayPKI().other} {
		c := dial(t, gate, holder, false)
		for _, forward := range []func(*http.Request){forwards(nil), forwards(shared().alice), forwards(shared().both), forwards(shared().untrusted), header("Client_Cert", "x")} {
			c.get("/x", forward)
		}
	}
}

// A plug-in that fails behind a gateway refuses the request, and the failure is not cached.
// Covers H14.
func TestFailingPlugInBehindAGateway(t *testing.T) {
	t.Parallel()
	var fails atomic.Bool
	gate := newGatewayPort(t, "gate", ports.Require)
	table := must[*certmap.Table](t)(certmap.New(mappings()...))
	serve(t, newGuard(t, withReceiver("gate", newReceiver(t), middleware.ToDefault), func(c *middleware.Config) {
		c.Policy = failing{c.Policy, &fails}
		c.Map = table
	}).Handler(echo), gate)
	c := dial(t, gate, gatewayPKI().gateway, true)
	for range 2 {
		fails.Store(true)
		c.get("/x", forwards(shared().alice)).want(t, 503, reason.PolicyError)
		fails.Store(false)
		c.get("/x", reused(t), forwards(shared().alice)).wantUser(t, "alice")
	}
}

type failing struct {
	policy.Decider
	fails *atomic.Bool
}

func (f failing) Decide(ctx context.Context, r policy.Request) (policy.Decision, error) {
	if f.fails.Load() {
		panic("the policy is broken")
	}
	return f.Decider.Decide(ctx, r)
}
