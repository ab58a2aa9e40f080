package certmap_test

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers C21.
func TestMappingsOfOneKeyForTwoUsersConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.verify(t, everything(w))
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, m := range kindsOf(w, v) {
		other := m
		other.ID, other.User = "other", "mallory"
		for name, row := range map[string]struct {
			change   func(a, b *certmap.Mapping)
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
				row.change(&a, &b)
				if swap {
					a, b = b, a
				}
				_, err := certmap.New(a, b)
				if row.conflict {
					wantError(t, err, "for another user", m.ID, name)
				} else if err != nil {
					t.Errorf("%s %s: got %v", m.ID, name, err)
				}
			}
		}
	}
	// Another case of a DNS name, another order of a set and another spelling of a keyword give
	// the same key.
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

func TestMappingsReturnsWhatNewGot(t *testing.T) {
	t.Parallel()
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

func TestNewReportsAllErrorsAndStopsAtAHundred(t *testing.T) {
	t.Parallel()
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
		t.Errorf("%d errors, the last: %v", len(all), all[len(all)-1])
	}
}

func TestRepeatedIDNamesTheFirstLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[int]string{0: `mapping "a": the id is not unique`, 1: `mapping "a": the id is not unique, first at line 1`} {
		first := certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.Digest{1}, Line: line}
		second := certmap.Mapping{ID: "a", User: "alice", Fingerprint: trust.Digest{2}}
		wrong := first
		wrong.User = "!"
		for _, m := range []certmap.Mapping{first, wrong} {
			_, err := certmap.New(m, second)
			if all := configerror.All(err); len(all) == 0 || !slices.ContainsFunc(all, func(e *configerror.Error) bool { return e.What == want }) {
				t.Errorf("line %d: %v, want %q", line, err, want)
			}
		}
	}
}

// Every row makes one property of a valid mapping invalid, or sets it to its limit.
func TestEachPropertyOfAMappingIsChecked(t *testing.T) {
	t.Parallel()
	good := certmap.Mapping{ID: "a", User: "alice", DNS: "a.example", Issuer: trust.Digest{1}}
	ports := make([]string, 257)
	for i := range ports {
		ports[i] = fmt.Sprint("p", i)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		change func(*certmap.Mapping)
		want   string // "" for none
	}{
		"as it is":           {func(m *certmap.Mapping) {}, ""},
		"no id":              {func(m *certmap.Mapping) { m.ID = "" }, "mapping 1: no id"},
		"id of 256 bytes":    {func(m *certmap.Mapping) { m.ID = strings.Repeat("a", 256) }, ""},
		"id of 257 bytes":    {func(m *certmap.Mapping) { m.ID = strings.Repeat("a", 257) }, "more than 256 bytes"},
		"id not UTF-8":       {func(m *certmap.Mapping) { m.ID = "a\xff" }, "do not print"},
		"id with a blank":    {func(m *certmap.Mapping) { m.ID = "a " }, "do not print"},
		"no user":            {func(m *certmap.Mapping) { m.User = "" }, "no user"},
		"user {user}":        {func(m *certmap.Mapping) { m.User = "{user}" }, "captures it"},
		"reserved user":      {func(m *certmap.Mapping) { m.User = "EVERYBODY" }, "is reserved"},
		"bad user":           {func(m *certmap.Mapping) { m.User = "a b" }, "is not a user name"},
		"no kind":            {func(m *certmap.Mapping) { m.DNS = "" }, "names no certificate"},
		"two kinds":          {func(m *certmap.Mapping) { m.Email = "a@b" }, "dns, email"},
		"no issuer":          {func(m *certmap.Mapping) { m.Issuer = trust.Digest{} }, "dns needs an issuer"},
		"bad email":          {func(m *certmap.Mapping) { m.DNS, m.Email = "", "a" }, "not an address"},
		"256 ports":          {func(m *certmap.Mapping) { m.Ports = ports[:256] }, ""},
		"257 ports":          {func(m *certmap.Mapping) { m.Ports = ports }, "more than 256 ports"},
		"a port twice":       {func(m *certmap.Mapping) { m.Ports = []string{"p", "q", "p"} }, `the port "p" twice`},
		"a port with NUL":    {func(m *certmap.Mapping) { m.Ports = []string{"p\x00"} }, "is not a port name"},
		"valid an instant":   {func(m *certmap.Mapping) { m.NotBefore, m.NotAfter = day, day }, ""},
		"never valid":        {func(m *certmap.Mapping) { m.NotBefore, m.NotAfter = day, day.Add(-1) }, "never be valid"},
		"an end alone":       {func(m *certmap.Mapping) { m.NotAfter = day }, ""},
		"a negative line":    {func(m *certmap.Mapping) { m.Line = -1 }, ""},
		"serial of 20 bytes": {func(m *certmap.Mapping) { m.DNS, m.Serial = "", new(big.Int).Lsh(big.NewInt(1), 159) }, ""},
		"serial of 21 bytes": {func(m *certmap.Mapping) { m.DNS, m.Serial = "", new(big.Int).Lsh(big.NewInt(1), 160) }, "at most 20 bytes"},
		"serial of zero":     {func(m *certmap.Mapping) { m.DNS, m.Serial = "", new(big.Int) }, "is positive"},
	} {
		m := good
		row.change(&m)
		got, err := certmap.New(m)
		switch all := configerror.All(err); {
		case row.want == "" && err != nil:
			t.Errorf("%s: got %v", name, err)
		case row.want == "" && got.Mappings()[0].Line != 0:
			t.Errorf("%s: line %d", name, got.Mappings()[0].Line)
		case row.want != "" && (len(all) != 1 || !strings.Contains(all[0].What, row.want)):
			t.Errorf("%s: %v, want one error with %q", name, err, row.want)
		}
	}
}

// Too many mappings of one key, even under different issuers, would make every lookup of it
// slow.
// Covers C21.
func TestMappingsOfOneKeyAreLimited(t *testing.T) {
	t.Parallel()
	mappings := make([]certmap.Mapping, 4097)
	for i := range mappings {
		mappings[i] = certmap.Mapping{ID: fmt.Sprint(i), User: fmt.Sprint("u", i), DNS: "a.example", Issuer: trust.Digest{1, byte(i), byte(i >> 8)}}
	}
	live := certmap.NewLive(table(t, mappings[:4096]...))
	wantError(t, live.Put(mappings[4096]), "more than 4096 mappings have this dns")
	if err := live.Put(mappings[7]); err != nil {
		t.Errorf("replacing a mapping: %v", err)
	}
}
