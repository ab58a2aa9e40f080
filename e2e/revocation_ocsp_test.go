package e2e

import (
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// responder is an OCSP responder for the certificates of an authority. It answers "good" for
// every certificate that revoke was not called for.
type responder struct {
	*httptest.Server
	hits atomic.Int64
	down atomic.Bool

	mu      sync.Mutex
	ca      *testpki.Pair
	issuers map[string]*testpki.Pair // by serial number, where the issuer is not ca
	revoked map[string]bool
}

func newResponder(tb testing.TB, ca *testpki.Pair) *responder {
	r := &responder{ca: ca, issuers: map[string]*testpki.Pair{}, revoked: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	tb.Cleanup(r.Close)
	return r
}

func (r *responder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.hits.Add(1)
	if r.down.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body, _ := io.ReadAll(req.Body)
	question, err := ocsp.ParseRequest(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	serial := question.SerialNumber.String()
	signer := r.ca
	if other := r.issuers[serial]; other != nil {
		signer = other
	}
	answer := ocsp.Response{
		Status: ocsp.Good, SerialNumber: question.SerialNumber, IssuerHash: question.HashAlgorithm,
		ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	}
	if r.revoked[serial] {
		answer.Status, answer.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
	}
	der, err := ocsp.CreateResponse(signer.Cert, signer.Cert, answer, signer.Key)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(der)
}

// add adds a certificate of another authority.
func (r *responder) add(cert, issuer *testpki.Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.issuers[cert.Cert.SerialNumber.String()] = issuer
}

func (r *responder) revoke(cert *testpki.Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[cert.Cert.SerialNumber.String()] = true
}

func serials(pairs ...*testpki.Pair) []*big.Int {
	var out []*big.Int
	for _, p := range pairs {
		out = append(out, p.Cert.SerialNumber)
	}
	return out
}

// The responder's answer decides, and the mode decides if there is no answer.
func TestOCSPResponderDecides(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		mode string // of revocation
		down bool
		want string // of alice; mallory is revoked
	}{
		{"", false, "200 alice"}, {"hard", false, "200 alice"}, {"soft", false, "200 alice"},
		{"", true, "refused"}, {"hard", true, "refused"}, {"soft", true, "200 alice"},
	} {
		t.Run(fmt.Sprintf("%s, down %t", row.mode, row.down), func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			r := newResponder(t, s.ca)
			r.down.Store(row.down)
			mode := ""
			if row.mode != "" {
				mode = "\n      revocation: " + row.mode
			}
			s.sub(config, "crls: [ca.crl]", fmt.Sprintf("ocsp: {url: %q, timeout: 30s}%s", r.URL, mode))
			mallory := s.ca.Leaf("mallory")
			r.revoke(mallory)
			l := s.start(mtlsguard.Options{})
			if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != row.want {
				t.Errorf("alice: %s, want %s", got, row.want)
			}
			if row.want == "refused" {
				testkit.Eventually(t, "the reason is logged", func() bool { return len(l.log.find("event", "handshake", "reason", "revocation-unknown")) > 0 })
			}
			if row.down {
				return
			}
			if got := get(s.client(mallory), l.url("internal", "/whoami")); got != "refused" {
				t.Errorf("mallory: %s, want refused", got)
			}
			testkit.Eventually(t, "the reason is logged", func() bool { return len(l.log.find("event", "handshake", "reason", "revoked")) > 0 })
		})
	}
}

// The cached answers of a responder outlive a reload that does not change OCSP: while the
// responder is down, good certificates stay accepted and revoked ones refused.
func TestOCSPAnswersOutliveAReload(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"hard", "soft"} {
		s := newSite(t)
		r := newResponder(t, s.ca)
		s.sub(config, "crls: [ca.crl]", fmt.Sprintf("crls: [sub.crl]\n      ocsp: {url: %q}\n      revocation: %s", r.URL, mode))
		sub := s.ca.SubCA("Client Sub CA")
		s.put("sub.crl", crlPEM(sub.CRL(1, nil)))
		mallory := s.ca.Leaf("mallory", func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{"Staff"} })
		r.revoke(mallory)
		l := s.start(mtlsguard.Options{})
		open := s.client(s.alice, testkit.HTTP2)
		ask := func(c *http.Client) string { return get(c, l.url("internal", "/whoami")) }
		if a, m := ask(open), ask(s.client(mallory)); a != "200 alice" || m != "refused" {
			t.Fatalf("%s: before: %s, %s", mode, a, m)
		}
		r.down.Store(true)
		s.put("sub.crl", crlPEM(sub.CRL(2, nil)))
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
		if a, b, m := ask(open), ask(s.client(s.alice)), ask(s.client(mallory)); a != "200 alice" || b != "200 alice" || m != "refused" {
			t.Errorf("%s: after: %s, %s, %s", mode, a, b, m)
		}
	}
}

func TestOCSPConfigurationErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	plain := s.get(config)
	for _, row := range []struct{ ocsp, what string }{
		{"{}", "URL"}, {"{url: 'ldap://x'}", "neither http nor https"}, {"{url: 'http://x', timeout: -1s}", "timeout"},
		{"{url: 'http://x', timeout: 0}", "timeout"}, {"{url: 'http://x', nonce: perhaps}", "nonce"}, {"{url: 'http://x', proxy: y}", "proxy"}, {"http://x", "ocsp"},
	} {
		s.put(config, plain)
		s.sub(config, "crls: [ca.crl]", "revocation: hard\n      ocsp: "+row.ocsp)
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		if found := configerror.All(err); len(found) != 1 || !hasConfigError(found, s.path(config), 12, row.what) || found[0].Hint == "" {
			t.Errorf("%s: got %v, want line 12: %s", row.ocsp, err, row.what)
		}
	}
}
