package prom_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/prom"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// No request creates a series, and no scrape holds a name of a caller.
// Covers H10.
func TestNoRequestCreatesASeries(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.Request(l.Client(l.Alice), l.server, "internal", "/")
	before, err := testutil.GatherAndCount(l.registry)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		name := fmt.Sprintf("eve-%d", i)
		l.Request(l.Client(l.Other.Leaf(name)), l.server, "internal", "/"+name)
		known := l.Client(l.CA.Leaf(name, func(c *x509.Certificate) { c.DNSNames = []string{name + ".example"} }))
		l.Request(known, l.server, "internal", "/"+name, "Host", name, "X-Forwarded-Client-Cert", name)
		l.Request(known, l.server, "public", "/..%2f"+name)
	}
	text := l.Eventually(l.scrape, "\nmtlsguard_handshakes_total{outcome=\"refuse\",port=\"internal\",reason=\"unknown-authority\",resumed=\"\",version=\"\"} 30\n")
	if after, err := testutil.GatherAndCount(l.registry); err != nil || after != before {
		t.Errorf("%d series before, %d after, %v", before, after, err)
	}
	labels := map[string]bool{"port": true, "outcome": true, "reason": true, "version": true, "resumed": true, "file": true, "le": true}
	for _, m := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(text, -1) {
		if !labels[m[1]] {
			t.Errorf("a label is called %s", m[1])
		}
	}
	for _, name := range []string{"eve", "alice", "bob", "CN=", l.Dir} {
		if strings.Contains(text, name) {
			t.Errorf("a scrape holds %q", name)
		}
	}
	for _, f := range l.server.Inventory().Ports {
		for _, a := range f.Anchors {
			if strings.Contains(text, a.Fingerprint.String()) {
				t.Error("a scrape holds a fingerprint")
			}
		}
	}
}

// A reason outside the list is counted as other: a plug-in cannot create series.
// Covers H10.
func TestUnknownReasonIsCountedAsOther(t *testing.T) {
	t.Parallel()
	m := metrics(t, prom.Config{})
	r := registry(t, m)
	for i := range 10 {
		unknown := reason.Reason(fmt.Sprint("reason-", i))
		m.Observe(nil, middleware.Outcome{Port: "a", Reason: unknown})
		m.OnHandshake(ports.Handshake{Port: "a", Reason: unknown, Err: errors.New("refused")})
		m.OnHandshake(ports.Handshake{Port: "a", Version: uint16(0x7000 + i)})
	}
	text := scraper(t, r)()
	for _, series := range []string{
		`mtlsguard_decisions_total{outcome="refuse",port="a",reason="other"}`,
		`mtlsguard_handshakes_total{outcome="refuse",port="a",reason="other",resumed="",version=""}`,
		`mtlsguard_handshakes_total{outcome="ok",port="a",reason="",resumed="false",version="other"}`,
	} {
		if got := value(t, text, series); got != 10 {
			t.Errorf("%s is %v, want 10", series, got)
		}
	}
	if strings.Contains(text, "reason-") {
		t.Error("a reason outside the list is a label")
	}
}

// A request that came through no port is counted too.
// Covers A11.
func TestRequestWithoutAPortIsCounted(t *testing.T) {
	t.Parallel()
	m := metrics(t, prom.Config{})
	r := registry(t, m)
	s := testsite.New(t)
	server := s.Open(mtlsguard.Options{Observe: m.Observe})
	w := httptest.NewRecorder()
	server.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code < 400 || w.Code == 404 {
		t.Fatal(w.Code)
	}
	if text := scraper(t, r)(); !regexp.MustCompile(`mtlsguard_decisions_total\{outcome="refuse",port="",reason="[a-z-]+"\} 1\n`).MatchString(text) {
		t.Error(text)
	}
}

// A file name that is not UTF-8 does not make the scrape fail.
// Covers H10.
func TestFileNameThatIsNotUTF8DoesNotBreakTheScrape(t *testing.T) {
	t.Parallel()
	s := testsite.New(t)
	crl, err := os.ReadFile(s.Path("ca.crl"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.Path("lists"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path("lists/\xff.crl"), crl, 0o600); err != nil {
		if os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("this file system has no file names outside UTF-8: %v", err)
	}
	config, err := os.ReadFile(s.Path("mtlsguard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s.Put("mtlsguard.yaml", strings.Replace(string(config), "crls: [ca.crl]", "crls: [lists]", 1))
	m := metrics(t, prom.Config{})
	m.Watch(s.Open(mtlsguard.Options{}))
	if text := scraper(t, registry(t, m))(); !strings.Contains(text, `mtlsguard_file_generation{file="\"lists/\\xff.crl\""} 1`) {
		t.Error(text)
	}
}
