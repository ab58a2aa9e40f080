package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Inventory lists the certificates, anchors and files in effect, with their dates.
// Covers L11.
func TestInventoryListsCertificatesAnchorsAndFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ends := func(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Second).UTC() }
	serverEnd, next := ends(5*time.Hour), ends(7*time.Hour)
	server := s.serve.Server(func(c *x509.Certificate) { c.NotAfter = serverEnd })
	s.put("server.pem", string(server.CertPEM()))
	s.put("server-key.pem", string(server.KeyPEM()))
	s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, func(l *x509.RevocationList) { l.NextUpdate = next })))
	pin := s.other.Leaf("pinned", func(c *x509.Certificate) { c.NotAfter = ends(3 * time.Hour) })
	s.put("ca.pem", string(s.ca.CertPEM())+string(pin.CertPEM())+string(s.ca.CertPEM()))
	s.sub("users.yaml", `issuer: ca.pem}`, `issuer: issuers/ca.pem}`)
	s.sub("users.yaml", `issuer: ca.pem,`, `issuer: issuers/ca.pem,`)
	if err := os.Mkdir(s.path("issuers"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.put("issuers/ca.pem", string(s.ca.CertPEM()))

	var now testkit.Clock
	now.Advance(time.Minute)
	start := time.Now()
	opened, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Now: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	got := opened.Inventory()
	if ahead := time.Until(got.At); ahead < 30*time.Second {
		t.Errorf("the clock is %s ahead, want 1m", ahead)
	}
	if len(got.Ports) != 2 || got.Ports[0].Name != "internal" || got.Ports[1].Name != "public" {
		t.Fatalf("ports %+v", got.Ports)
	}
	internal, public := got.Ports[0], got.Ports[1]
	if !internal.CertificateNotAfter.Equal(serverEnd) || !internal.FreshUntil.Equal(next) || !public.FreshUntil.IsZero() {
		t.Errorf("internal %+v, public %+v", internal, public)
	}
	want := []mtlsguard.AnchorInventory{{Fingerprint: trust.FingerprintOf(pin.Cert), NotAfter: pin.Cert.NotAfter}, {Fingerprint: trust.FingerprintOf(s.ca.Cert), NotAfter: s.ca.Cert.NotAfter}}
	if !slices.Equal(internal.Anchors, want) {
		t.Errorf("anchors %v, want %v", internal.Anchors, want)
	}
	var names []string
	for _, f := range got.Files {
		names = append(names, f.Name)
		if f.Path != s.path(filepath.FromSlash(f.Name)) || f.Generation != 1 || f.Since.Before(start) || f.Since.After(time.Now()) {
			t.Errorf("got %+v, want a file of generation 1 with its path and date", f)
		}
	}
	if got := strings.Join(names, " "); got != "ca.crl ca.pem issuers/ca.pem mtlsguard.yaml policy.csv server-key.pem server.pem users.yaml" {
		t.Errorf("files %s, want ca.crl ca.pem issuers/ca.pem mtlsguard.yaml policy.csv server-key.pem server.pem users.yaml", got)
	}
}

// The date of a file is the time when its content took effect. A reload that finds the same
// content, or that fails, does not change it.
// Covers I1.
func TestInventoryDatesFilesByTheirContent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	outside := filepath.Join(t.TempDir(), "outside.csv")
	s.put(outside[len(filepath.Dir(outside))+1:], "") // a file of the same name inside that the configuration does not name
	if err := os.WriteFile(outside, []byte(sitePolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	s.sub(config, "policy: policy.csv", "policy: "+outside)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) mtlsguard.FileInventory {
		t.Helper()
		for _, f := range server.Inventory().Files {
			if f.Name == name {
				return f
			}
		}
		t.Fatalf("no %s in %+v", name, server.Inventory().Files)
		return mtlsguard.FileInventory{}
	}
	first := file("ca.crl")
	for i := range 2 {
		s.put("users.yaml", siteUsers+strings.Repeat("#\n", i+1))
		if err := server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	if got := file("users.yaml"); got.Generation != 3 || !got.Since.After(first.Since) {
		t.Errorf("the changed file: %+v", got)
	}
	if got := file("ca.crl"); got != first {
		t.Errorf("the unchanged file: %+v, before %+v", got, first)
	}
	if got := file(outside); got.Path != outside || got.Generation != 1 {
		t.Errorf("outside the folder: %+v", got)
	}
	before := file("users.yaml")
	s.put("users.yaml", "garbage")
	if server.Reload() == nil {
		t.Fatal("garbage is loaded")
	}
	if got := file("users.yaml"); got != before {
		t.Errorf("the failed file: %+v, before %+v", got, before)
	}
	s.sub(config, "crls: [ca.crl]", "crls: [lists]")
	if err := os.Mkdir(s.path("lists"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.put("lists/ca.crl", s.crl(2))
	s.put("users.yaml", siteUsers)
	if err := server.Reload(); err != nil {
		t.Fatal(err)
	}
	for _, f := range server.Inventory().Files {
		if f.Name == "lists" || f.Name == "ca.crl" {
			t.Errorf("%s is no file of the configuration", f.Name)
		}
	}
	if got := file("lists/ca.crl"); got.Generation != 4 {
		t.Errorf("in a folder: %+v", got)
	}
}

// Options.OnHandshake sees the handshakes that the log sees.
// Covers L8.
func TestOnHandshakeSeesEveryHandshake(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var mu sync.Mutex
	var seen []ports.Handshake
	l := s.start(mtlsguard.Options{OnHandshake: func(h ports.Handshake) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, h)
	}})
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Fatal(got)
	}
	if got := get(s.client(s.other.Leaf("alice")), l.url("internal", "/whoami")); got != "refused" {
		t.Fatal(got)
	}
	testkit.Eventually(t, "two handshakes", func() bool { mu.Lock(); defer mu.Unlock(); return len(seen) == 2 })
	if h := seen[0]; h.Port != "internal" || h.Reason != "" || h.Err != nil || h.Version != tls.VersionTLS13 || len(h.Presented) != 1 {
		t.Errorf("got %+v, want a handshake of TLS 1.3 with a certificate", h)
	}
	if h := seen[1]; h.Reason != reason.UnknownAuthority || h.Err == nil {
		t.Errorf("got %+v, want %s", h, reason.UnknownAuthority)
	}
}
