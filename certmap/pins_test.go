package certmap_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers C17.
func TestFingerprintIsAWholeSHA256(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	hex := v.Fingerprint().String()
	var colons []string
	for i := 0; i < len(hex); i += 2 {
		colons = append(colons, strings.ToUpper(hex[i:i+2]))
	}
	for text, good := range map[string]bool{
		hex: true, strings.ToUpper(hex): true, "sha256:" + hex: true, strings.Join(colons, ":"): true, "SHA256:" + strings.Join(colons, ":"): true,
		hex[:62]: false, hex[:40]: false, hex + "00": false, "sha1:" + hex[:40]: false, strings.Join(colons[:31], ":"): false, " " + hex: false, strings.Repeat("0", 64): false,
	} {
		got, err := load("users.yaml", fmt.Sprintf("mappings: [{id: a, user: alice, fingerprint: %q}]", text))
		if !good {
			wantError(t, err, "fingerprint: ", text)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if user := outcome(t, table(t, got...), v, "p"); user != "alice" {
			t.Errorf("%s: %s, want alice", text, user)
		}
	}
	near := v.Fingerprint()
	near[31] ^= 1
	if got := outcome(t, table(t, certmap.Mapping{ID: "a", User: "alice", Fingerprint: near}), v, "p"); got != "[unmapped]" {
		t.Errorf("31 bytes: %s, want [unmapped]", got)
	}
}

// Covers C18.
func TestSerialIsPositiveHexOfAtMost20Bytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1000": 0x1000, "0x1000": 0x1000, "10:00": 0x1000, "0X0a": 10, "0A": 10, "a": 10, "00:0A": 10, "01": 1,
		"": 0, "0": 0, "00": 0, "-1": 0, "+1": 0, "1:0": 0, "10:": 0, ":10": 0, "g": 0, "0x": 0, "1_0": 0, " 1": 0,
		strings.Repeat("f", 41): 0, strings.Repeat("0", 65): 0,
	} {
		got, err := load("users.yaml", fmt.Sprintf("mappings: [{id: a, user: alice, serial: %q, issuer: %s}]", text, digest1))
		if (err == nil) != (want != 0) || err == nil && got[0].Serial.Int64() != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	longest := strings.Repeat("f", 40)
	got, err := load("users.yaml", fmt.Sprintf("mappings: [{id: a, user: alice, serial: %q, issuer: %s}]", strings.Repeat("0", 24)+longest, digest1))
	if err != nil || got[0].Serial.Text(16) != longest {
		t.Errorf("20 bytes: %v, %v", got, err)
	}
	for _, n := range []*big.Int{big.NewInt(0), big.NewInt(-1), new(big.Int).Lsh(big.NewInt(1), 160)} {
		_, err := certmap.New(certmap.Mapping{ID: "a", User: "alice", Serial: n, Issuer: trust.Digest{1}})
		wantError(t, err, "serial", n)
	}
}

// Covers C19.
func TestKindsThatSurviveARenewal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := testpki.NewKey()
	options := []testpki.Option{uris("spiffe://acme/orders")}
	first, second := w.ca.LeafWithKey("orders", key, options...), w.ca.LeafWithKey("orders", key, options...)
	third := w.ca.Leaf("orders", options...)
	a, b, c := w.verify(t, first), w.verify(t, second), w.verify(t, third)
	for _, row := range []struct {
		m       certmap.Mapping
		a, b, c string
	}{
		{certmap.Mapping{Fingerprint: a.Fingerprint()}, "orders", "[unmapped]", "[unmapped]"},
		{certmap.Mapping{SPKI: a.SPKI()}, "orders", "orders", "[unmapped]"},
		{certmap.Mapping{Serial: first.Cert.SerialNumber, Issuer: w.key}, "orders", "[unmapped]", "[unmapped]"},
		{certmap.Mapping{URI: "spiffe://acme/orders", Issuer: w.key}, "orders", "orders", "orders"},
	} {
		row.m.ID, row.m.User = "m", "orders"
		m := table(t, row.m)
		for v, want := range map[trust.Verified]string{a: row.a, b: row.b, c: row.c} {
			if got := outcome(t, m, v, "p"); got != want {
				t.Errorf("%+v: %s, want %s", row.m, got, want)
			}
		}
	}
	// Several certificates can map to one user, as in a rollover.
	both := table(t,
		certmap.Mapping{ID: "old", User: "orders", Fingerprint: a.Fingerprint()},
		certmap.Mapping{ID: "new", User: "orders", Fingerprint: c.Fingerprint()})
	if outcome(t, both, a, "p") != "orders" || outcome(t, both, c, "p") != "orders" {
		t.Error("a rollover")
	}
}
