package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// anyKey is a session cache that returns its one session for every server.
type anyKey struct {
	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (a *anyKey) Get(string) (*tls.ClientSessionState, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.session, a.session != nil
}

func (a *anyKey) Put(_ string, s *tls.ClientSessionState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s != nil {
		a.session = s
	}
}

func (a *anyKey) holds() bool { _, ok := a.Get(""); return ok }

// versions runs a test for TLS 1.2 and 1.3, each with a session cache of its own.
func versions(t *testing.T, test func(t *testing.T, cache *anyKey, with tlsOption)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			cache := &anyKey{}
			test(t, cache, func(c *tls.Config) {
				c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, cache
			})
		})
	}
}

// visit makes a request, and waits until the client has a session to resume.
func visit(t *testing.T, p *ports.Port, cache *anyKey, c *tls.Config, want string) *caller {
	t.Helper()
	body, own, err := dialAndGet(t, p, c)
	if err != nil || !strings.Contains(body, " "+want+" ") {
		t.Fatalf("%q, %v; want %s", body, err, want)
	}
	testkit.Eventually(t, "the client has a session", cache.holds)
	return own
}

// Covers A1.
func TestResumedSessionIsVerified(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		// Only the clock of the trust moves: crypto/tls itself would resume.
		var shift atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
		c, e := config(t, ports.Require)
		c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Now: now})
		p := serving(t, c)
		cc := clientConfig(alice, with)
		visit(t, p, cache, cc, "alice")
		again := visit(t, p, cache, cc, "alice")
		h := e.of(t, again.local)
		if !again.ConnectionState().DidResume || !h.Resumed || len(h.Presented) == 0 || !h.Presented[0].Equal(alice.Cert) {
			t.Fatalf("not resumed: %+v", h)
		}
		shift.Store(int64(48 * time.Hour))
		if h, _ := refused(t, p, e, cc, reason.Expired); !h.Resumed || len(h.Presented) == 0 {
			t.Errorf("another event: %+v", h)
		}
	})
}

// Covers A1.
func TestSessionOfARevokedCertificateIsRefused(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, e := config(t, ports.Require)
		p := serving(t, c)
		visit(t, p, cache, clientConfig(alice, with), "alice")
		c.Trust = byClientCA(t, alice)
		reconfigure(t, p, c)
		if h, _ := refused(t, p, e, clientConfig(alice, with), reason.Revoked); h.Resumed {
			t.Error("a session of the former trust was resumed")
		}
	})
}

// Covers A2.
func TestSessionOfAFormerAnchorIsRefused(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, e := config(t, ports.Request)
		p := serving(t, c)
		visit(t, p, cache, clientConfig(alice, with), "alice")
		c.Trust = byOtherCA(t)
		reconfigure(t, p, c)
		if h, _ := refused(t, p, e, clientConfig(alice, with), reason.UnknownAuthority); h.Resumed {
			t.Error("a session of the former trust was resumed")
		}
	})
}

// Covers A3, A6.
func TestSessionOfAnotherPortDoesNotResume(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		from, to ports.ClientAuth
		holder   *testpki.Pair
		first    string
		then     reason.Reason // "" is alice
	}{
		{ports.Request, ports.Require, alice, "alice", ""},
		{ports.Require, ports.Request, alice, "alice", ""},
		{ports.Request, ports.Require, nil, "no-certificate", reason.NoCertificate},
		{ports.None, ports.Require, nil, "no-certificate", reason.NoCertificate},
		{ports.None, ports.Require, alice, "no-certificate", ""}, // the port requests the certificate again
	} {
		t.Run(fmt.Sprintf("%v to %v/%s", row.from, row.to, row.first), func(t *testing.T) {
			versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
				a, _ := config(t, row.from)
				b, e := config(t, row.to)
				from, to := serving(t, a), serving(t, b)
				visit(t, from, cache, clientConfig(row.holder, with), row.first)
				if row.then != "" {
					if h, _ := refused(t, to, e, clientConfig(row.holder, with), row.then); h.Resumed {
						t.Error("resumed")
					}
					return
				}
				if own := visit(t, to, cache, clientConfig(row.holder, with), "alice"); own.ConnectionState().DidResume {
					t.Error("resumed")
				}
			})
		})
	}
}

// A session of a port must not resume on a port with a stricter trust either.
// Covers A3.
func TestSessionDoesNotResumeOnAStricterPort(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		a, _ := config(t, ports.Require)
		b, e := config(t, ports.Require)
		b.Trust = byClientCA(t, alice)
		from, to := serving(t, a), serving(t, b)
		visit(t, from, cache, clientConfig(alice, with), "alice")
		refused(t, to, e, clientConfig(alice, with), reason.Revoked)
	})
}

// An anonymous session stays anonymous, also if the client now has a certificate.
// Covers A6.
func TestSessionWithoutCertificateStaysAnonymous(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, _ := config(t, ports.Request)
		p := serving(t, c)
		visit(t, p, cache, clientConfig(nil, with), "no-certificate")
		own := visit(t, p, cache, clientConfig(alice, with), "no-certificate")
		if !own.ConnectionState().DidResume {
			t.Error("not resumed: this test checks nothing")
		}
	})
}

// Two names on one port have one trust: a session resumes under another name with the same
// caller.
// Covers A5.
func TestSessionUnderAnotherServerNameIsVerified(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, e := config(t, ports.Require)
		p := serving(t, c)
		visit(t, p, cache, clientConfig(alice, with), "alice")
		other := clientConfig(alice, with, func(c *tls.Config) { c.ServerName = "127.0.0.1" })
		visit(t, p, cache, other, "alice")
		c.Trust = byClientCA(t, alice)
		reconfigure(t, p, c)
		refused(t, p, e, other, reason.Revoked)
	})
}

// Reconfigure ends sessions also if the trust is unchanged: each generation has its own
// ticket keys.
func TestEveryGenerationHasItsOwnTicketKeys(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		c, _ := config(t, ports.Require)
		p := serving(t, c)
		visit(t, p, cache, clientConfig(alice, with), "alice")
		reconfigure(t, p, c)
		if own := visit(t, p, cache, clientConfig(alice, with), "alice"); own.ConnectionState().DidResume {
			t.Error("resumed across generations")
		}
	})
}
