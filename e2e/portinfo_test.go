package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// PortInfos has the settings in effect, what the file sets, and what is open.
func TestPortsAreDescribed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "strict: false\n    limits: {drain: 1s}", "strict: false\n    unmapped: guest\n    server_names: [api.acme.example]\n    methods: [PROPFIND]\n    min_version: 1.3\n    limits: {drain: 1s, streams: 7}")
	list := s.ca.CRL(17, serials(s.bob))
	s.put("ca.crl", crlPEM(list))
	closed, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range closed.PortInfos() {
		if p.Open || p.Draining || p.Addr != nil {
			t.Errorf("before Serve: %+v", p)
		}
	}
	l := s.start(mtlsguard.Options{})
	all := l.server.PortInfos()
	if len(all) != 2 {
		t.Fatalf("got %+v, want two ports", all)
	}
	internal, public := all[0], all[1]
	if internal.Name != "internal" || internal.ClientAuth != ports.Require || !internal.Strict || internal.Unmapped != "" || internal.MinVersion != tls.VersionTLS12 || internal.Listen != "127.0.0.1:0" {
		t.Errorf("got %+v, want the settings of port internal", internal)
	}
	if !internal.Open || internal.Addr.String() != l.server.Ports()[0].Addr().String() || internal.Registration || internal.Tunnel || internal.Gateways != nil {
		t.Errorf("got %+v, want an open port that serves requests", internal)
	}
	if len(internal.Certificate) != 1 || !strings.Contains(s.get("server.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: internal.Certificate[0].Raw}))) {
		t.Errorf("certificate %v", internal.Certificate)
	}
	if len(internal.Trusts) != 1 {
		t.Fatalf("got %+v, want one trust", internal.Trusts)
	}
	by := internal.Trusts[0]
	if by.Verifies != "connections" || by.Profile != trust.Strict || by.Revocation != trust.RevocationHard || by.Responder != "" || !by.FreshUntil.Equal(list.NextUpdate) {
		t.Errorf("got %+v, want the trust for connections", by)
	}
	if len(by.Anchors) != 1 || !by.Anchors[0].Certificate.Equal(s.ca.Cert) || by.Anchors[0].File != s.path("ca.pem") {
		t.Errorf("got %+v, want ca.pem", by.Anchors)
	}
	if len(by.CRLs) != 1 {
		t.Fatalf("got %+v, want one CRL", by.CRLs)
	}
	crl := by.CRLs[0]
	if crl.File != s.path("ca.crl") || crl.URL != "" || crl.Number.Cmp(big.NewInt(17)) != 0 || crl.Entries != 1 || !crl.NextUpdate.Equal(list.NextUpdate) || !crl.ThisUpdate.Equal(list.ThisUpdate) || !strings.Contains(crl.Issuer, "Client CA") || crl.Replaced {
		t.Errorf("got %+v, want ca.crl with its number, dates and one entry", crl)
	}
	if public.ClientAuth != ports.Request || public.Strict || public.Unmapped != "guest" || public.MinVersion != tls.VersionTLS13 || !slices.Equal(public.ServerNames, []string{"api.acme.example"}) || !slices.Equal(public.Methods, []string{"PROPFIND"}) {
		t.Errorf("got %+v, want the settings of port public", public)
	}
	if want := (ports.Limits{Drain: time.Second, Streams: 7}); public.LimitsInFile != want || public.Limits.Streams != 7 || public.Limits.Idle != 2*time.Minute {
		t.Errorf("%+v, in the file %+v", public.Limits, public.LimitsInFile)
	}
	if by := public.Trusts[0]; by.Revocation != trust.RevocationOff || by.CRLs != nil || !by.FreshUntil.IsZero() {
		t.Errorf("got %+v, want a trust without CRLs", by)
	}
}

// On a port behind gateways there is a trust for each kind of certificate.
func TestPortBehindGatewaysIsDescribed(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	l := b.start(mtlsguard.Options{})
	got := l.server.PortInfos()[0]
	if got.Gateways == nil || got.Gateways.Format != "nginx" || !slices.Equal(got.Gateways.Names, []string{gatewayName}) || !slices.Equal(got.Gateways.Headers, []string{"X-Ssl-Client-Cert", "X-Ssl-Client-Verify"}) {
		t.Errorf("got %+v, want nginx's headers and the gateway's name", got.Gateways)
	}
	if got.LimitsInFile.PerIP != 0 || got.Limits.PerIP != 10_000 {
		t.Errorf("connections of one address: %d in the file, %d in effect", got.LimitsInFile.PerIP, got.Limits.PerIP)
	}
	var of []string
	for _, t := range got.Trusts {
		of = append(of, t.Verifies+" by "+t.Anchors[0].Certificate.Subject.CommonName)
	}
	if !slices.Equal(of, []string{"gateways by Gateway CA", "forwarded certificates by Client CA"}) {
		t.Errorf("got the trusts %q, want one for gateways and one for forwarded certificates", of)
	}
}

// A port that drains is not open, and shows what is left.
func TestDrainingPortIsDescribed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	hold := make(chan struct{})
	s.handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold })
	l := s.start(mtlsguard.Options{})
	done := make(chan string, 1)
	go func() { done <- get(s.client(s.alice), l.url("internal", "/whoami")) }()
	testkit.Eventually(t, "the request is under way", func() bool { c := l.server.Connections(); return len(c) == 1 && c[0].Active == 1 })
	l.stop()
	testkit.Eventually(t, "the port drains", func() bool { p := l.server.PortInfos()[0]; return p.Draining && !p.Open })
	close(hold)
	if got := <-done; got != "200" {
		t.Error(got)
	}
	l.end()
	if p := l.server.PortInfos()[0]; p.Open || p.Draining {
		t.Errorf("after the end: %+v", p)
	}
}

// A list that is fetched has its URL, its next fetch, and why the last one failed.
func TestFetchesAreDescribed(t *testing.T) {
	t.Parallel()
	s := newWatchedSite(t)
	d := newDistribution(t, s.ca.CRL(1, nil))
	d.down.Store(true)
	s.fetchFrom(d.URL)
	past := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	}
	s.put("ca.crl", crlPEM(s.ca.CRL(1, nil, past)))
	l := s.start(mtlsguard.Options{})
	fetched := func() mtlsguard.CRLInfo { return l.server.PortInfos()[0].Trusts[0].CRLs[0] }
	testkit.Eventually(t, "the fetch has failed", func() bool { return fetched().FetchError != "" })
	if got := fetched(); got.URL != d.URL || !strings.Contains(got.FetchError, "503") || !got.LastFetched.IsZero() || got.NextFetch.IsZero() {
		t.Errorf("got %+v, want the URL, the failure 503 and the next fetch", got)
	}
}
