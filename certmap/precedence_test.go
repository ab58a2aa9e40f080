package certmap_test

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// everything returns a leaf that every kind can map.
func everything(w *world) *testpki.Pair {
	return w.ca.Leaf("", subject("CN=alice,OU=Staff,O=Acme"), serial(0x1000),
		san(attr{tag: 0x86, value: "spiffe://acme/sa/alice"}, attr{tag: 0x82, value: "a.example"}, attr{tag: 0x81, value: "a@acme.example"}))
}

// kindsOf returns one mapping of each kind for v, in the order of precedence.
func kindsOf(w *world, v trust.Verified) []certmap.Mapping {
	return []certmap.Mapping{
		{ID: "1", User: "fingerprint", Fingerprint: v.Fingerprint()},
		{ID: "2", User: "spki", SPKI: v.SPKI()},
		{ID: "3", User: "serial", Serial: big.NewInt(0x1000), Issuer: w.key},
		{ID: "4", User: "uri", URI: "spiffe://acme/sa/alice", Issuer: w.key},
		{ID: "5", User: "dns", DNS: "A.example", Issuer: w.key},
		{ID: "6", User: "email", Email: "a@ACME.example", Issuer: w.key},
		{ID: "7", User: "subject", Subject: "CN=alice,OU=Staff,O=Acme", Issuer: w.key},
		{ID: "8", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: w.key},
	}
}

func TestFirstMatchingKindDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.verify(t, everything(w))
	all := kindsOf(w, v)
	for i := range all {
		rest := slices.Clone(all[i:])
		want := rest[0].User
		if want == "{user}" {
			want = "alice"
		}
		if got := outcome(t, table(t, rest...), v, "p"); got != want {
			t.Errorf("from %s: %s, want %s", all[i].ID, got, want)
		}
		slices.Reverse(rest) // C21: the order does not decide
		if got := outcome(t, table(t, rest...), v, "p"); got != want {
			t.Errorf("from %s, reversed: %s, want %s", all[i].ID, got, want)
		}
	}
	// The first kind that matches decides, even if its mapping is not valid.
	now := time.Now()
	for i := range all {
		for name, row := range map[string]struct {
			change func(*certmap.Mapping)
			want   string
		}{
			"disabled":   {func(m *certmap.Mapping) { m.Disabled = true }, "[unmapped]"},
			"over":       {func(m *certmap.Mapping) { m.NotAfter = now.Add(-time.Second) }, "[mapping-expired]"},
			"not yet":    {func(m *certmap.Mapping) { m.NotBefore = now.Add(time.Hour) }, "[mapping-expired]"},
			"other port": {func(m *certmap.Mapping) { m.Ports = []string{"q"} }, "next"},
		} {
			rest := slices.Clone(all[i:])
			row.change(&rest[0])
			want := row.want
			if want == "next" {
				switch {
				case i == len(all)-1:
					want = "[unmapped]"
				case all[i+1].User == "{user}":
					want = "alice"
				default:
					want = all[i+1].User
				}
			}
			if got := outcome(t, table(t, rest...), v, "p"); got != want {
				t.Errorf("%s %s: %s, want %s", all[i].ID, name, got, want)
			}
		}
	}
}

// Covers C15, B17.
func TestMappingHoldsUnderItsIssuerOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.ca.SubCA("Sub CA")
	subKey := trust.SPKIOf(sub.Cert)
	leaf := []testpki.Option{subject("CN=alice,OU=Staff,O=Acme"), serial(0x1000),
		san(attr{tag: 0x86, value: "spiffe://acme/sa/alice"}, attr{tag: 0x82, value: "a.example"}, attr{tag: 0x81, value: "a@acme.example"})}
	ownCA, otherCA, below := w.verify(t, w.ca.Leaf("", leaf...)), w.verify(t, w.other.Leaf("", leaf...)), w.verify(t, sub.Leaf("", leaf...))

	for _, m := range kindsOf(w, ownCA)[2:] {
		want := m.User
		if want == "{user}" {
			want = "alice"
		}
		one := table(t, m)
		if got := outcome(t, one, ownCA, "p"); got != want {
			t.Errorf("%s: %s, want %s", m.ID, got, want)
		}
		if got := outcome(t, one, otherCA, "p"); got != "[unmapped]" {
			t.Errorf("%s by another CA: %s, want [unmapped]", m.ID, got)
		}
		wantBelow := want
		if m.Serial != nil {
			wantBelow = "[unmapped]" // another direct issuer
		}
		if got := outcome(t, one, below, "p"); got != wantBelow {
			t.Errorf("%s below: %s, want %s", m.ID, got, wantBelow)
		}
		m.Issuer = subKey
		if got := outcome(t, table(t, m), below, "p"); got != want {
			t.Errorf("%s by the sub CA: %s, want %s", m.ID, got, want)
		}
		if got := outcome(t, table(t, m), ownCA, "p"); got != "[unmapped]" {
			t.Errorf("%s not by the sub CA: %s", m.ID, got)
		}
		// The same name under two CAs is two users, and no conflict.
		second := m
		m.Issuer = w.key
		second.ID, second.User, second.Issuer = "other", "eve", w.otherKey
		both := table(t, m, second)
		if got := outcome(t, both, ownCA, "p"); got != want {
			t.Errorf("%s of two: %s, want %s", m.ID, got, want)
		}
		if got := outcome(t, both, otherCA, "p"); got != "eve" {
			t.Errorf("%s of two, the other: %s, want eve", m.ID, got)
		}
		// A chain with both CAs maps to two users.
		second.Issuer = subKey
		if got := outcome(t, table(t, m, second), below, "p"); m.Serial == nil && got != "[ambiguous]" {
			t.Errorf("%s under both: %s", m.ID, got)
		}
	}
	// Without its issuer a mapping does not load; for a pin it is one more condition.
	for i, m := range kindsOf(w, ownCA) {
		if i >= 2 {
			m.Issuer = trust.Digest{}
			_, err := certmap.New(m)
			wantError(t, err, "needs an issuer", m.ID)
			continue
		}
		m.Issuer = w.key
		if got := outcome(t, table(t, m), ownCA, "p"); got != m.User {
			t.Errorf("%s under its issuer: %s, want %s", m.ID, got, m.User)
		}
		m.Issuer = w.otherKey
		if got := outcome(t, table(t, m), ownCA, "p"); got != "[unmapped]" {
			t.Errorf("%s under another issuer: %s, want [unmapped]", m.ID, got)
		}
	}
}
