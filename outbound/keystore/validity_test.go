package keystore_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func validDays(from, until int) testpki.Option {
	return func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = start.AddDate(0, 0, from), start.AddDate(0, 0, until)
	}
}

// Of several certificates of one alias, the valid one with the latest NotBefore is
// presented. Expiring reports aliases in advance.
func TestNewestValidCertificateIsPresented(t *testing.T) {
	t.Parallel()
	first, second, third := ca.Leaf("a", validDays(0, 100)), ca.Leaf("a", validDays(80, 200)), ca.Leaf("a", validDays(90, 95))
	var day int
	now := func() time.Time { return start.AddDate(0, 0, day).Add(time.Hour) }
	memory := new(keystore.Memory)
	memory.Now = now
	var all []*outbound.Credential
	for _, p := range []*testpki.Pair{first, second, third} {
		c, err := outbound.NewCredential("a", p.TLS())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := memory.Put(all...); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, dir, "a.pem", pemOf(first))
	writeFile(t, dir, "a+2.pem", pemOf(second))
	writeFile(t, dir, "a+short.one.pem", pemOf(third))
	files, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		day  int
		want *testpki.Pair
	}{{0, first}, {79, first}, {80, second}, {89, second}, {90, third}, {94, third}, {95, second}, {199, second}, {-1, third}, {200, third}} {
		day = row.day
		wantLeaf(t, memory, "a", row.want)
		wantLeaf(t, files, "a", row.want)
	}
	for _, row := range []struct{ day, ahead, want int }{{0, 199, 0}, {0, 201, 1}, {199, 1, 1}, {199, 0, 0}, {300, 0, 1}} {
		day = row.day
		got := memory.Expiring(time.Duration(row.ahead) * 24 * time.Hour)
		if len(got) != row.want || row.want == 1 && (got[0] != all[1]) {
			t.Errorf("day %d, %d days ahead: %+v", row.day, row.ahead, got)
		}
	}
	// Put replaces the previous credentials of an alias.
	if err := memory.Put(all[0]); err != nil {
		t.Fatal(err)
	}
	day = 90
	wantLeaf(t, memory, "a", first)
	if err := memory.Put(nil, &outbound.Credential{}, all[1]); len(configerror.All(err)) != 2 {
		t.Error(err)
	}
	wantLeaf(t, memory, "a", first)
	memory.Remove("a", "b")
	if got := memory.Aliases(); len(got) != 0 {
		t.Errorf("got the aliases %q, want none", got)
	}
}
