package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// distribution is an HTTP server that serves a CRL.
type distribution struct {
	*httptest.Server
	list atomic.Pointer[x509.RevocationList]
	down atomic.Bool
	hits atomic.Int64
}

func newDistribution(t *testing.T, list *x509.RevocationList) *distribution {
	d := &distribution{}
	d.list.Store(list)
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d.hits.Add(1)
		if d.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(d.list.Load().Raw)
	}))
	t.Cleanup(d.Close)
	return d
}

// fetchFrom makes a site fetch its CRL from url.
func (s *site) fetchFrom(url string) {
	s.sub(config, "crls: [ca.crl]", fmt.Sprintf("crls: [ca.crl]\n      fetch: [{url: %q, file: ca.crl}]", url))
}

func TestFetchConfigurationErrors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "reload: 0", "reload: 5s")
	plain := s.get(config)
	for _, row := range []struct {
		fetch string
		line  int
		what  string
	}{
		{"[{url: 'ftp://ca.example/x.crl', file: ca.crl}]", 12, "cannot be fetched"},
		{"[{url: 'http://', file: ca.crl}]", 12, "cannot be fetched"},
		{"[{url: 'http://user:secret@ca.example/x.crl', file: ca.crl}]", 12, "cannot be fetched"},
		{"[{file: ca.crl}]", 12, "cannot be fetched"},
		{"[{url: 'http://ca.example/x.crl', file: other.crl}]", 12, "is not in crls"},
		{"[{url: 'http://ca.example/x.crl'}]", 12, "is not in crls"},
		{"[{url: 'http://ca.example/x.crl', file: ca.crl, every: 1h}]", 12, `unknown key "every"`},
		{"[{url: 'http://ca.example/x.crl', file: ca.crl},\n              {url: 'http://ca.example/y.crl', file: ca.crl}]", 13, "from another URL, in line 12"},
		{"[{url: 'http://ca.example/x.crl', file: ca.crl, issuer: lost.pem}]", 12, "lost.pem cannot be read"},
		{"http://ca.example/x.crl", 12, "fetch"},
	} {
		s.put(config, strings.Replace(plain, "crls: [ca.crl]", "crls: [ca.crl]\n      fetch: "+row.fetch, 1))
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		found := configerror.All(err)
		if !hasConfigError(found, s.path(config), row.line, row.what) {
			t.Errorf("%s: no error at line %d with %q: %v", row.fetch, row.line, row.what, err)
		}
		for _, m := range found {
			if m.Hint == "" {
				t.Errorf("%s: no hint: %v", row.fetch, m)
			}
		}
	}
	s.put(config, strings.Replace(plain, "crls: [ca.crl]", "crls: [ca.crl]\n      fetch: [{url: 'http://ca.example/x.crl', file: ca.crl}]", 1))
	if _, err := mtlsguard.OpenFS(s.files(), config, mtlsguard.Options{}); !hasConfigError(configerror.All(err), config, 12, "nowhere to write") {
		t.Errorf("with a file system in the program: %v", err)
	}
	s.sub(config, "reload: 5s", "reload: 0")
	if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); !hasConfigError(configerror.All(err), s.path(config), 12, "reload is 0") {
		t.Errorf("with reload 0: %v", err)
	}
}

// A missing CRL is fetched before the server starts; if the fetch fails, the server does not
// start.
func TestMissingCRLIsFetchedBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	d := newDistribution(t, s.ca.CRL(1, nil))
	s.fetchFrom(d.URL)
	refused := func(when string, line int, what string) {
		t.Helper()
		os.Remove(s.path("ca.crl"))
		_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
		if !hasConfigError(configerror.All(err), s.path(config), line, what) {
			t.Errorf("%s: got %v, want line %d: %s", when, err, line, what)
		}
		if _, err := os.Stat(s.path("ca.crl")); err == nil {
			t.Errorf("%s: the file was written", when)
		}
	}
	d.down.Store(true)
	refused("down", 12, "the server returned HTTP 503")
	d.down.Store(false)
	d.list.Store(s.other.CRL(1, nil))
	refused("another authority's", 12, "cannot be fetched")
	d.list.Store(s.ca.CRL(1, nil, critical))
	refused("critical extension", 12, "critical extension")
	d.list.Store(s.ca.CRL(1, nil))
	l := s.start(mtlsguard.Options{})
	if a := get(s.client(s.alice), l.url("internal", "/whoami")); a != "200 alice" {
		t.Error(a)
	}
	if b := get(s.client(s.bob), l.url("internal", "/whoami")); b != "200 bob" {
		t.Error(b)
	}
	// A newer CRL applies to the next request, as soon as it is in the file.
	bob := s.client(s.bob, testkit.HTTP2)
	if got := get(bob, l.url("internal", "/whoami")); got != "200 bob" {
		t.Error(got)
	}
	d.list.Store(s.ca.CRL(2, serials(s.bob)))
	source := crlfetch.Source{URL: d.URL, File: s.path("ca.crl"), Anchors: []*x509.Certificate{s.ca.Cert}}
	if err := new(crlfetch.Fetcher).Fetch(context.Background(), source); err != nil {
		t.Fatal(err)
	}
	l.waitFor("the newer list", func() string { return get(bob, l.url("internal", "/whoami")) }, "refused")
	if a := get(s.client(s.alice), l.url("internal", "/whoami")); a != "200 alice" {
		t.Error(a)
	}
}

// The CRL of an authority below the anchors is verified with that authority's key.
func TestCRLOfAnIntermediateIsFetched(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	sub := s.ca.SubCA("Client Sub CA")
	s.put("sub.pem", string(sub.CertPEM()))
	d := newDistribution(t, sub.CRL(1, nil))
	s.sub(config, "crls: [ca.crl]", fmt.Sprintf("crls: [ca.crl, sub.crl]\n      fetch: [{url: %q, file: sub.crl, issuer: sub.pem}]", d.URL))
	l := s.start(mtlsguard.Options{})
	if got := get(s.client(sub.Leaf("alice")), l.url("internal", "/whoami")); got != "200 alice" {
		t.Error(got)
	}
}

// A running server replaces an expired CRL by itself. A failed fetch is logged, and the last
// good CRL stays in effect.
// Covers I6.
func TestExpiredCRLIsFetchedWhileServing(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	d := newDistribution(t, s.ca.CRL(2, serials(s.bob)))
	d.down.Store(true)
	s.put("ca.crl", crlPEM(s.ca.CRL(1, serials(s.alice), func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) })))
	s.fetchFrom(d.URL)
	l := s.start(mtlsguard.Options{})
	alice, bob := s.client(s.alice, testkit.Resuming), s.client(s.bob, testkit.Resuming)
	url := l.url("internal", "/whoami")
	if a, b := get(alice, url), get(bob, url); a != "refused" || b != "refused" {
		t.Errorf("an old CRL: %s, %s", a, b) // alice is revoked, bob's status is unknown
	}
	testkit.Eventually(t, "the failure is logged", func() bool { return len(l.log.find("level", "WARN", "error", "cannot be fetched")) > 0 })
	if _, why := ready(l.server); !strings.Contains(why, "a CRL is past its next update") {
		t.Error(why)
	}
	l.end()
	d.down.Store(false)
	again := s.start(mtlsguard.Options{})
	url = again.url("internal", "/whoami")
	again.waitFor("the new list", func() string { return get(alice, url) + ", " + get(bob, url) }, "200 alice, refused")
	if code, why := ready(again.server); code != 200 {
		t.Error(why)
	}
}

// The URLs in a certificate are never fetched: otherwise the owner of the certificate would
// choose the addresses that the server connects to.
// Covers B19.
func TestURLsOfCertificatesAreNeverFetched(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	canary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer canary.Close()
	urls := func(c *x509.Certificate) {
		c.OCSPServer = []string{canary.URL + "/ocsp"}
		c.IssuingCertificateURL = []string{canary.URL + "/issuer"}
		c.CRLDistributionPoints = []string{canary.URL + "/crl"}
	}
	s := newSite(t)
	sub := s.ca.SubCA("Client Sub CA", urls)
	revoked := s.ca.Leaf("alice", urls)
	s.put("ca.crl", s.crl(1, revoked))
	responder := newResponder(t, s.ca)
	l := s.start(mtlsguard.Options{})
	untrusted, fine, below := s.other.Leaf("alice", urls), s.ca.Leaf("alice", urls), sub.Leaf("alice", urls)
	lost := *below
	lost.Chain = nil // the intermediate is available at the URL
	round := func(internal string) {
		t.Helper()
		for _, row := range []struct {
			name, port, want string
			got              string
		}{
			{"fine", "internal", "200 alice", get(s.client(fine), l.url("internal", "/whoami"))},
			{"revoked", "internal", "refused", get(s.client(revoked), l.url("internal", "/whoami"))},
			{"unknown status", "internal", internal, get(s.client(below), l.url("internal", "/whoami"))},
			{"no revocation", "public", "200 alice", get(s.client(below), l.url("public", "/whoami"))},
			{"untrusted", "internal", "refused", get(s.client(untrusted), l.url("internal", "/whoami"))},
			{"without its intermediate", "public", "refused", get(s.client(&lost), l.url("public", "/whoami"))},
		} {
			if row.got != row.want {
				t.Errorf("%s: %s, want %s", row.name, row.got, row.want)
			}
		}
	}
	round("refused")
	s.sub(config, "crls: [ca.crl]", fmt.Sprintf("crls: [ca.crl]\n      ocsp: {url: %q}", responder.URL))
	responder.add(below, sub)
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	round("200 alice")
	if responder.hits.Load() == 0 {
		t.Error("the configured responder got no request")
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("%d requests to URLs of certificates", n)
	}
}

// A CRL whose fetch failed at a reload is fetched when its server is back, and the other
// changes of that reload take effect then.
//
// Covers I14.
func TestReloadIsRetriedAfterAFailedFetch(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	d := newDistribution(t, s.ca.CRL(2, []*big.Int{s.bob.Cert.SerialNumber}))
	d.down.Store(true)
	var ahead atomic.Int64
	l := s.start(mtlsguard.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	s.put(config, strings.Replace(s.get(config), "crls: [ca.crl]", fmt.Sprintf("crls: [ca.crl, new.crl]\n      fetch: [{url: %q, file: new.crl}]", d.URL), 1))
	testkit.Eventually(t, "the reload fails", func() bool { return len(l.log.find("event", "reload", "outcome", "failed")) > 0 })
	d.down.Store(false)
	ahead.Store(int64(2 * time.Minute))
	l.waitFor("bob is revoked", func() string { return get(s.client(s.bob), l.url("internal", "/whoami")) }, "refused")
}
