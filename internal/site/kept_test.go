package site

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
)

// testSite is a folder with a configuration of several ports that name the same files.
type testSite struct {
	*testing.T
	dir               string
	clientCA, otherCA *testpki.Pair
}

func newTestSite(t *testing.T, ports int) *testSite {
	s := &testSite{t, t.TempDir(), testpki.NewCA("Client CA"), testpki.NewCA("Other CA")}
	server := testpki.NewCA("Server CA").Server()
	s.put("server.pem", string(server.CertPEM()))
	s.put("server-key.pem", string(server.KeyPEM()))
	s.put("ca.pem", string(s.clientCA.CertPEM()))
	s.putCRL("ca.crl", s.clientCA, 1)
	s.put("policy.csv", "p, group:Everybody, *, GET, /*, allow\n")
	s.put("users.yaml", "mappings:\n  - {id: alice, user: alice, fingerprint: "+strings.Repeat("ab", 32)+"}\n")
	var config strings.Builder
	config.WriteString("users: users.yaml\npolicy: policy.csv\nreload: 0\nports:\n")
	for i := range ports {
		fmt.Fprintf(&config, `  - name: p%d
    listen: 127.0.0.1:%d
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [ca.pem], crls: [ca.crl]}
`, i, 10000+i)
	}
	s.put("mtlsguard.yaml", config.String())
	return s
}

func (s *testSite) path(name string) string { return filepath.Join(s.dir, name) }

func (s *testSite) put(name, content string) {
	s.Helper()
	if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// putCRL writes a CRL of a CA that revokes one serial number.
func (s *testSite) putCRL(name string, ca *testpki.Pair, number int64) {
	s.Helper()
	s.put(name, string(ca.CRL(number, []*big.Int{big.NewInt(number)}).Raw))
}

func (s *testSite) sub(name, old, replacement string) {
	s.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil || !strings.Contains(string(data), old) {
		s.Fatal(old, err)
	}
	s.put(name, strings.ReplaceAll(string(data), old, replacement))
}

// load loads a generation after another one.
func (s *testSite) load(previous *Generation) *Generation {
	s.Helper()
	g, err := Load(context.Background(), s.path("mtlsguard.yaml"), fileset.New(nil), previous, nil, Program{})
	if err != nil {
		s.Fatal(err)
	}
	g.Files.Read.Drop()
	return g
}

// expectParsed checks how often each kind but the mappings was parsed for a generation.
func (s *testSite) expectParsed(what string, g *Generation, want map[string]int) {
	s.Helper()
	got := maps.Clone(g.Parsed)
	maps.DeleteFunc(got, func(kind string, _ int) bool { return strings.HasPrefix(kind, "users") })
	if !maps.Equal(got, want) {
		s.Errorf("%s: parsed %v, want %v", what, got, want)
	}
}

// A file is parsed once for all ports that name it, and again only if its content changes, or
// a setting that its parser uses.
func TestOnlyWhatChangedIsParsedAgain(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, 3)
	first := s.load(nil)
	s.expectParsed("the start", first, map[string]int{"policy": 1, "certificates": 1, "CRLs": 1, "key pair": 1})
	again := s.load(first)
	s.expectParsed("nothing changed", again, map[string]int{})
	if again.Engine != first.Engine {
		t.Error("the same policy was compiled twice")
	}

	s.put("policy.csv", "p, group:Everybody, *, GET, /a, allow\n")
	policy := s.load(again)
	s.expectParsed("another policy", policy, map[string]int{"policy": 1})
	if policy.Engine == again.Engine {
		t.Error("the changed policy was not compiled")
	}
	s.put("ca.pem", string(s.otherCA.CertPEM()))
	s.putCRL("ca.crl", s.otherCA, 1)
	anchor := s.load(policy)
	s.expectParsed("another anchor and CRL", anchor, map[string]int{"certificates": 1, "CRLs": 1})
	for _, p := range anchor.Ports {
		if a := p.clients.Verifier.Anchors(); len(a) != 1 || !a[0].Equal(s.otherCA.Cert) {
			t.Errorf("port %s still trusts %v", p.Config.Name, a[0].Subject)
		}
	}
	server := testpki.NewCA("Server CA").Server()
	s.put("server.pem", string(server.CertPEM()))
	s.put("server-key.pem", string(server.KeyPEM()))
	pair := s.load(anchor)
	s.expectParsed("another key pair", pair, map[string]int{"key pair": 1})
	for _, p := range pair.Ports {
		if c, err := p.Config.Certificate(nil); err != nil || !c.Leaf.Equal(server.Cert) || p.CertificateDigest == anchor.Ports[0].CertificateDigest {
			t.Errorf("port %s has the old certificate, %v", p.Config.Name, err)
		}
	}
	s.sub("mtlsguard.yaml", "name: p2", "name: renamed")
	s.expectParsed("another name of a port", s.load(pair), map[string]int{"policy": 1})
}

// The error of a file that was kept before it was damaged is the error of every port, and the
// kept value of a repaired file is used again.
func TestFailedParseIsNotKept(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, 2)
	first := s.load(nil)
	s.put("ca.pem", "garbage\n")
	for range 2 {
		if g, err := Load(context.Background(), s.path("mtlsguard.yaml"), fileset.New(nil), first, nil, Program{}); err == nil || g != nil || !strings.Contains(err.Error(), "ca.pem") {
			t.Fatal("a damaged file loads:", err)
		}
	}
	s.put("ca.pem", string(s.clientCA.CertPEM()))
	s.expectParsed("the repaired file", s.load(first), map[string]int{})
}

// isListed reports whether a CRL of a port's anchor lists a serial number.
func (s *testSite) isListed(g *Generation, port int, ca *testpki.Pair, serial int64) bool {
	lookups := trustaccess.LookUp(g.Ports[port].clients.Verifier, ca.Cert.RawSubject, big.NewInt(serial))
	return slices.ContainsFunc(lookups, func(l trustaccess.CRLLookup) bool { return l.Listed })
}

// Of several CRLs only the changed one is parsed, once for all ports.
func TestOneChangedCRLIsParsedOnce(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, 3)
	s.sub("mtlsguard.yaml", "anchors: [ca.pem], crls: [ca.crl]", "anchors: [ca.pem, other.pem], crls: [ca.crl, other.crl]")
	s.put("other.pem", string(s.otherCA.CertPEM()))
	s.putCRL("other.crl", s.otherCA, 1)
	first := s.load(nil)
	s.putCRL("ca.crl", s.clientCA, 2)
	second := s.load(first)
	s.expectParsed("another CRL", second, map[string]int{"CRLs": 1})
	for i := range 3 {
		if !s.isListed(second, i, s.clientCA, 2) || s.isListed(second, i, s.clientCA, 1) || !s.isListed(second, i, s.otherCA, 1) {
			t.Errorf("port %d has the old CRL, or lost the other", i)
		}
	}
}

// The checks of a kept CRL that depend on the clock, on the anchors and on the generation before
// are made at each load.
func TestKeptCRLIsCheckedAnew(t *testing.T) {
	t.Parallel()
	loadError := func(s *testSite, previous *Generation, clock func() time.Time) string {
		_, err := Load(context.Background(), s.path("mtlsguard.yaml"), fileset.New(nil), previous, clock, Program{})
		return fmt.Sprint(err)
	}
	t.Run("the clock", func(t *testing.T) {
		t.Parallel()
		s := newTestSite(t, 2)
		var clock testkit.Clock
		first, err := Load(context.Background(), s.path("mtlsguard.yaml"), fileset.New(nil), nil, clock.Now, Program{})
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(-2 * time.Hour) // the list is one hour old
		if got := loadError(s, first, clock.Now); !strings.Contains(got, "the CRL is not valid before") {
			t.Error(got)
		}
	})
	t.Run("the anchors", func(t *testing.T) {
		t.Parallel()
		s := newTestSite(t, 2)
		first := s.load(nil)
		s.put("ca.pem", string(testpki.NewCA("Client CA").CertPEM()))
		if got := loadError(s, first, nil); !strings.Contains(got, "is not signed by its key") {
			t.Error(got)
		}
	})
	t.Run("the generation before", func(t *testing.T) {
		t.Parallel()
		s := newTestSite(t, 2)
		s.putCRL("ca.crl", s.clientCA, 2)
		first := s.load(nil)
		older := *first // as if the older list were kept: it must be rejected even so
		s.putCRL("ca.crl", s.clientCA, 1)
		older.kept = s.load(nil).kept
		if got := loadError(s, &older, nil); !strings.Contains(got, "is older than the current one") {
			t.Error(got)
		}
	})
}

// A generation keeps what it was made from and nothing of the generations before it.
func TestKeptValuesGoWithTheirGeneration(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, 2)
	g := s.load(nil)
	want := len(g.kept)
	first := weak.Make(g.Engine)
	for i := range 100 {
		s.put("policy.csv", fmt.Sprintf("p, group:Everybody, *, GET, /%d, allow\n", i))
		g = s.load(g)
		s.expectParsed("one change", g, map[string]int{"policy": 1})
	}
	if len(g.kept) != want || want < 4 {
		t.Errorf("%d values are kept after 100 reloads, and %d after the start", len(g.kept), want)
	}
	testkit.Eventually(t, "the first policy is collected", func() bool { runtime.GC(); return first.Value() == nil })
	runtime.KeepAlive(g)
}

// Parts of different kinds, order or quoting make different keys.
func TestKeysDoNotCollide(t *testing.T) {
	t.Parallel()
	seen := map[keptKey]int{}
	for i, key := range []keptKey{
		keyOf("a", "b", "c"), keyOf("a", "c", "b"), keyOf("a", "bc"), keyOf("a", "b\n\"c\""), keyOf("a", "b\"\n\"c"), keyOf("b", "b", "c"),
		keyOf("a", []string{"b", "c"}), keyOf("a", []string{"b"}, []string{"c"}), keyOf("a", []string{"b c"}), keyOf("a", 1, 2), keyOf("a", 12), keyOf("a", "1", "2"),
		keyOf("a", true), keyOf("a", [4]byte{1}), keyOf("a"),
	} {
		if other, ok := seen[key]; ok {
			t.Errorf("keys %d and %d are equal", i, other)
		}
		seen[key] = i
	}
}
