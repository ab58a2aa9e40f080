package certmap_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestC21_Conflicts(t *testing.T) {
	w := newWorld(t)
	v := w.verify(t, everything(w))
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, m := range kindsOf(w, v) {
		other := m
		other.ID, other.User = "other", "mallory"
		for name, row := range map[string]struct {
			spoil    func(a, b *certmap.Mapping)
			conflict bool
		}{
			"as they are":         {func(a, b *certmap.Mapping) {}, true},
			"the same user":       {func(a, b *certmap.Mapping) { b.User = a.User }, false},
			"one disabled":        {func(a, b *certmap.Mapping) { a.Disabled = true }, false},
			"on other ports":      {func(a, b *certmap.Mapping) { a.Ports, b.Ports = []string{"p", "q"}, []string{"r"} }, false},
			"on one common port":  {func(a, b *certmap.Mapping) { a.Ports, b.Ports = []string{"p", "q"}, []string{"q", "r"} }, true},
			"on all and on one":   {func(a, b *certmap.Mapping) { a.Ports = []string{"p"} }, true},
			"one after the other": {func(a, b *certmap.Mapping) { a.NotAfter, b.NotBefore = day, day.Add(time.Nanosecond) }, false},
			"at one instant":      {func(a, b *certmap.Mapping) { a.NotAfter, b.NotBefore = day, day }, true},
			"one before":          {func(a, b *certmap.Mapping) { a.NotBefore, b.NotAfter = day, day.Add(-time.Second) }, false},
			"one within":          {func(a, b *certmap.Mapping) { a.NotBefore = day }, true},
		} {
			for _, swap := range []bool{false, true} {
				a, b := m, other
				row.spoil(&a, &b)
				if swap {
					a, b = b, a
				}
				_, err := certmap.New(a, b)
				if row.conflict {
					wantError(t, err, "for another user", m.ID, name)
				} else if err != nil {
					t.Errorf("%s %s: %v", m.ID, name, err)
				}
			}
		}
	}
	// A case of DNS, the order of a set and the spelling of a keyword make no other key.
	for _, pair := range [][2]certmap.Mapping{
		{{DNS: "a.b"}, {DNS: "A.B"}},
		{{Subject: "CN=a+OU=b"}, {Subject: "ou=b + cn=a"}},
		{{Subject: "CN={user},O=a"}, {Subject: "commonName={user}, O=\\61"}},
	} {
		for i := range pair {
			pair[i].ID, pair[i].User, pair[i].Issuer = fmt.Sprint(i), fmt.Sprint("user", i), w.key
		}
		_, err := certmap.New(pair[0], pair[1])
		wantError(t, err, "for another user", pair)
	}
}

func TestMappingsRoundTrip(t *testing.T) {
	w := newWorld(t)
	given := kindsOf(w, w.verify(t, everything(w)))
	given[1].Ports, given[1].Disabled, given[1].File, given[1].Line = []string{"a", "b"}, true, "users.yaml", 7
	given[2].NotBefore, given[2].NotAfter = time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
	given = append(given,
		certmap.Mapping{ID: "9", User: "{user}", URI: "https://a/{user}/b", Issuer: w.key},
		certmap.Mapping{ID: "10", User: "x", Subject: "cn=x, O = y", Issuer: w.key})
	got := table(t, given...).Mappings()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", given) {
		t.Errorf("\n%+v, want\n%+v", got, given)
	}
}

func TestMistakesTogether(t *testing.T) {
	_, err := certmap.New(
		certmap.Mapping{},
		certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.Digest{1}, SPKI: trust.Digest{1}, DNS: "x"},
		certmap.Mapping{ID: "b", User: "!", DNS: "*", Ports: []string{""}},
		certmap.Mapping{ID: "b", User: "alice", Fingerprint: trust.Digest{1}},
		certmap.Mapping{ID: "a\n", User: "alice", Fingerprint: trust.Digest{1}},
	)
	for _, want := range []string{"mapping 1: no id", "mapping 1: no user", "mapping 1: the mapping names no certificate", "fingerprint, spki, dns", "is not a user name", "wildcard", "is not a port name", "not unique", `"a\n"`} {
		wantError(t, err, want)
	}
	many := make([]certmap.Mapping, 1000)
	_, err = certmap.New(many...)
	if all := configerror.All(err); len(all) != 101 || !strings.Contains(all[100].What, "more than 100") {
		t.Errorf("%d mistakes, the last: %v", len(all), all[len(all)-1])
	}
}

// A key that too many mappings have, if only under other issuers, would make
// every look-up of it long.
func TestC21_ManyOfOneKey(t *testing.T) {
	mappings := make([]certmap.Mapping, 4097)
	for i := range mappings {
		mappings[i] = certmap.Mapping{ID: fmt.Sprint(i), User: fmt.Sprint("u", i), DNS: "a.example", Issuer: trust.Digest{1, byte(i), byte(i >> 8)}}
	}
	if _, err := certmap.New(mappings[:4096]...); err != nil {
		t.Error(err)
	}
	_, err := certmap.New(mappings...)
	wantError(t, err, "more than 4096 mappings have this dns")
}
