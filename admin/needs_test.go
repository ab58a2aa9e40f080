package admin_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A disabled mapping whose certificate still calls is listed: its owner may not know that it is disabled.
func TestOverviewListsDisabledMappingsThatAreCalled(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("users.yaml", siteUsers+"  - {id: gone, user: partner, fingerprint: "+trust.FingerprintOf(pairOf(t, "bob").Cert).String()+", disabled: true}\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	const want = "mapping gone of user partner is disabled and still called: refused 2 times within a day"
	alice := s.client("alice")
	if page := s.do(alice, "GET", "admin", "/", "").body; strings.Contains(page, "still called") {
		t.Error(page)
	}
	for range 2 {
		if got := s.do(s.client("bob"), "GET", "internal", "/orders/7", ""); !strings.Contains(got.body, "unmapped") {
			t.Fatal(got.Status, got.body)
		}
	}
	if page := s.do(alice, "GET", "admin", "/", "").body; !strings.Contains(page, want) || strings.Contains(page, "mapping old of user olaf is disabled and") {
		t.Error(page)
	}
	if list := decode[[]admin.Refusal](s, s.do(alice, "GET", "admin", "/api/v1/refusals", "")); len(list) != 2 || list[0].Mapping != "gone" {
		t.Errorf("got %+v, want two refusals, the first by mapping gone", list)
	}
	s.clock.Advance(25 * time.Hour)
	if page := s.do(s.client("alice"), "GET", "admin", "/", "").body; strings.Contains(page, "still called") {
		t.Errorf("a day later\n%s", page)
	}
}

// Trust and Ports show what was asked of an OCSP responder, and that it does not answer.
func TestOCSPIsShown(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Partner CA")
	var down atomic.Bool
	down.Store(true)
	responder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		body, _ := io.ReadAll(r.Body)
		question, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		der, err := ocsp.CreateResponse(ca.Cert, ca.Cert, ocsp.Response{
			Status: ocsp.Good, SerialNumber: question.SerialNumber, IssuerHash: question.HashAlgorithm, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		}, ca.Key)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(der)
	}))
	t.Cleanup(responder.Close)
	s := newSite(t)
	s.put("partner-ca.pem", string(ca.CertPEM()))
	i := strings.LastIndex(siteConfig, "trust: {anchors: [client-ca.pem]}")
	s.put("mtlsguard.yaml", siteConfig[:i]+"trust: {anchors: [partner-ca.pem], ocsp: {url: "+responder.URL+"}}\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	alice := s.client("alice")
	stats := func() admin.OCSP {
		for _, p := range decode[[]admin.PortTrust](s, s.do(alice, "GET", "admin", "/api/v1/trust", "")) {
			for _, x := range p.Trust {
				if p.Port == "public" && x.OCSP != nil {
					return *x.OCSP
				}
				if p.Port != "public" && x.OCSP != nil {
					t.Errorf("port %s has no responder: %+v", p.Port, x.OCSP)
				}
			}
		}
		return admin.OCSP{}
	}
	if got := stats(); got != (admin.OCSP{}) {
		t.Errorf("before any request: %+v, want %+v", got, (admin.OCSP{}))
	}
	call := func(name string) {
		c := testkit.Client(t, s.roots, ca.Leaf(name))
		if answer, err := c.Get("https://" + s.addr["public"] + "/"); err == nil {
			answer.Body.Close()
		}
	}
	call("one")
	if got := stats(); got.Asked != 1 || got.Answered != 0 || got.LastError == "" || got.LastAnswered != "" {
		t.Errorf("while the responder is down: %+v", got)
	}
	down.Store(false)
	call("two")
	if got := stats(); got.Asked != 2 || got.Answered != 1 || got.Cached != 1 || got.LastError != "" || got.LastAnswered == "" {
		t.Errorf("when it answers: %+v", got)
	}
	for _, path := range []string{"/trust", "/ports/public"} {
		if page := s.do(alice, "GET", "admin", path, "").body; !strings.Contains(page, "2 asked, 1 answered; 1 answers cached") {
			t.Errorf("%s\n%s", path, page)
		}
	}
}
