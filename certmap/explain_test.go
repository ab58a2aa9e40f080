package certmap_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/mapresult"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestExplain(t *testing.T) {
	w := newWorld(t)
	v := w.verify(t, everything(w))
	two := w.leaf(t, subject("CN=alice,CN=admin,OU=Staff"),
		san(attr{tag: 0x86, value: "spiffe://acme/sa/alice"}, attr{tag: 0x86, value: "spiffe://acme/sa/bob"}, attr{tag: 0x82, value: "*.acme.example"}, attr{tag: 0x82, value: "b.example."}))
	hostile := w.leaf(t, rdns(each(cn("alice\x1b[2J"))...))
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, row := range []struct {
		v      trust.Verified
		m      certmap.Mapping
		result string
		why    string
	}{
		{v, certmap.Mapping{DNS: "A.EXAMPLE"}, mapresult.Matches, ""},
		{v, certmap.Mapping{DNS: "A.EXAMPLE", Ports: []string{"q"}}, mapresult.OtherPort, `for "q" only`},
		{v, certmap.Mapping{DNS: "A.EXAMPLE", Issuer: w.otherKey}, mapresult.OtherIssuer, w.key.String()},
		{v, certmap.Mapping{DNS: "A.EXAMPLE", Disabled: true}, mapresult.Disabled, "is refused"},
		{v, certmap.Mapping{DNS: "A.EXAMPLE", NotAfter: past}, mapresult.OutOfTime, "until"},
		{v, certmap.Mapping{DNS: "A.EXAMPLE", NotBefore: future}, mapresult.OutOfTime, "from"},
		{v, certmap.Mapping{DNS: "b.example"}, mapresult.Differs, ""},
		{two, certmap.Mapping{DNS: "b.example"}, mapresult.NearMiss, "dot at the end"},
		{two, certmap.Mapping{DNS: "a.acme.example"}, mapresult.NearMiss, "wildcard"},
		{v, certmap.Mapping{Fingerprint: v.SPKI()}, mapresult.NearMiss, "write it as spki"},
		{v, certmap.Mapping{SPKI: v.Fingerprint()}, mapresult.NearMiss, "write it as fingerprint"},
		{v, certmap.Mapping{SPKI: w.key}, mapresult.NearMiss, "issuer"},
		{v, certmap.Mapping{Serial: big.NewInt(4096)}, mapresult.Matches, ""},
		{w.leaf(t, serial(0x1234)), certmap.Mapping{Serial: big.NewInt(1234)}, mapresult.NearMiss, "hex"},
		{v, certmap.Mapping{URI: "spiffe://acme/sa/Alice"}, mapresult.NearMiss, "case"},
		{w.leaf(t, uris("https://a/b/")), certmap.Mapping{URI: "https://a/b"}, mapresult.NearMiss, "slash"},
		{two, certmap.Mapping{URI: "spiffe://acme/sa/bob"}, mapresult.NearMiss, "more than one URI"},
		{two, certmap.Mapping{URI: "spiffe://acme/x"}, mapresult.Differs, "more than one URI"},
		{v, certmap.Mapping{Email: "A@acme.example"}, mapresult.NearMiss, "case"},
		{v, certmap.Mapping{Subject: "O=Acme,OU=Staff,CN=alice"}, mapresult.NearMiss, "reverse order"},
		{v, certmap.Mapping{Subject: "CN=alice+OU=Staff,O=Acme"}, mapresult.NearMiss, "joined by +"},
		{v, certmap.Mapping{Subject: "CN=alice,O=Acme,OU=Staff"}, mapresult.NearMiss, "another order"},
		{v, certmap.Mapping{Subject: "CN=Alice,OU=staff,O=Acme"}, mapresult.NearMiss, "case"},
		{v, certmap.Mapping{Subject: "CN=alice,OU=St aff,O=Acme"}, mapresult.NearMiss, "blanks"},
		{v, certmap.Mapping{Subject: "CN=alice,O=Acme"}, mapresult.NearMiss, "the mapping lacks"},
		{v, certmap.Mapping{Subject: "CN=alice,OU=Staff,O=Acme,C=DE"}, mapresult.NearMiss, "the certificate lacks"},
		{v, certmap.Mapping{Subject: "CN=bob,O=Other"}, mapresult.Differs, ""},
		{hostile, certmap.Mapping{Subject: "CN=alice"}, mapresult.Differs, "control"},
		{v, certmap.Mapping{User: "{user}", Subject: "CN={user},OU=staff,O=Acme"}, mapresult.NearMiss, "case"},
		{two, certmap.Mapping{User: "{user}", Subject: "CN={user},OU=Staff"}, mapresult.NearMiss, "occurs twice"},
		{w.leaf(t, subject("CN=a b,OU=Staff")), certmap.Mapping{User: "{user}", Subject: "CN={user},OU=Staff"}, mapresult.NearMiss, "cannot be a user name"},
		{v, certmap.Mapping{User: "{user}", URI: "spiffe://acme/{user}"}, mapresult.NearMiss, "more than one segment"},
		{v, certmap.Mapping{User: "{user}", URI: "spiffe://Acme/sa/{user}"}, mapresult.NearMiss, "case"},
		{w.leaf(t, uris("spiffe://acme/sa/.x")), certmap.Mapping{User: "{user}", URI: "spiffe://acme/sa/{user}"}, mapresult.NearMiss, "cannot be a user name"},
	} {
		row.m.ID = "m"
		if row.m.User == "" {
			row.m.User = "u"
		}
		if row.m.Issuer.IsZero() && row.m.Fingerprint.IsZero() && row.m.SPKI.IsZero() {
			row.m.Issuer = w.key
		}
		if strings.Contains(row.m.URI, "Acme") {
			row.m.URI = strings.Replace(row.m.URI, "spiffe://Acme", "https://acme", 1)
			row.v = w.leaf(t, uris("HTTPS://acme/sa/alice"))
		}
		steps := table(t, row.m).Explain(row.v, "p")
		if len(steps) != 1 || steps[0].Result != row.result || !strings.Contains(steps[0].Why, row.why) || row.why == "" && steps[0].Why != "" {
			t.Errorf("%+v: %v, want %s %q", row.m, steps, row.result, row.why)
		}
		for _, s := range steps {
			if strings.ContainsFunc(s.String(), func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
				t.Errorf("unprintable: %q", s)
			}
		}
	}
}

func TestExplainDecides(t *testing.T) {
	w := newWorld(t)
	v := w.verify(t, everything(w))
	steps := table(t, kindsOf(w, v)[1:]...).Explain(v, "p")
	if steps[0].Result != mapresult.Matches || steps[0].Kind != "spki" {
		t.Error(steps[0])
	}
	for _, s := range steps[1:] {
		if s.Result != mapresult.Outranked || !strings.Contains(s.Why, "spki") {
			t.Error(s)
		}
	}
	if last := steps[len(steps)-1]; last.User != "alice" {
		t.Errorf("captured %q", last.User)
	}
	// The direct issuer is what a serial number belongs to.
	sub := w.ca.SubCA("Sub")
	below := w.verify(t, sub.Leaf("x", serial(7)))
	steps = table(t, certmap.Mapping{ID: "m", User: "u", Serial: big.NewInt(7), Issuer: w.key}).Explain(below, "p")
	if steps[0].Result != mapresult.OtherIssuer || !strings.Contains(steps[0].Why, "further up") {
		t.Error(steps[0])
	}
}

// A large table is explained by what matters in it.
func TestExplainLarge(t *testing.T) {
	w := newWorld(t)
	mappings := many("dns", 30_000, w.key)
	mappings[29_999].DNS = "me.example"
	mappings[15_000].DNS = "me.example.x"
	v := w.leaf(t, dns("ME.example", "me.example.x."))
	steps := table(t, mappings...).Explain(v, "p")
	if len(steps) != 201 || steps[199].Result != mapresult.Matches || steps[198].Result != mapresult.NearMiss || steps[200].String() != "and 29800 mappings more" {
		t.Errorf("%d steps: %v", len(steps), steps[len(steps)-3:])
	}
}

// Explain says of every mapping what Map does.
func TestExplainAgreesWithMap(t *testing.T) {
	w := newWorld(t)
	leaves := []testpki.Option{subject("CN=alice,OU=Staff,O=Acme"), subject("CN=bob"), uris("spiffe://acme/sa/alice"), dns("a.example", "b.example"), emails("a@acme.example")}
	for i, option := range leaves {
		v := w.leaf(t, option)
		all := append(kindsOf(w, w.leaf(t)), certmap.Mapping{ID: "9", User: "other", DNS: "b.example", Issuer: w.key})
		m := table(t, all...)
		users := map[string]bool{}
		for _, s := range m.Explain(v, "p") {
			if s.Result == mapresult.Matches {
				users[s.User] = true
			}
		}
		want := "[unmapped]"
		for u := range users {
			want = u
		}
		if len(users) > 1 {
			want = "[ambiguous]"
		}
		if got := outcome(t, m, v, "p"); got != want {
			t.Errorf("%d: %s, explained as %s", i, got, want)
		}
	}
}

func TestLint(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	d := trust.Digest{1}
	for _, row := range []struct {
		mappings []certmap.Mapping
		want     string // in a finding for mapping "z"; "" for none
	}{
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d}}, ""},
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d, NotAfter: now}}, "ends at 2026-06-01"},
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d, NotAfter: now.Add(-1)}}, "ended at 2026-05-31T23:59:59Z"},
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d, NotAfter: now.Add(-1), Disabled: true}}, ""},
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d, NotAfter: now.Add(24 * time.Hour)}}, ""},
		{[]certmap.Mapping{{ID: "z", User: "a", Fingerprint: d, NotAfter: now.Add(24*time.Hour - 1)}}, "ends at"},
		{[]certmap.Mapping{{ID: "y", User: "a", Fingerprint: d}, {ID: "z", User: "a", Fingerprint: d}}, `duplicates "y"`},
		{[]certmap.Mapping{{ID: "y", User: "a", Fingerprint: d, Ports: []string{"p"}}, {ID: "z", User: "a", Fingerprint: d, Ports: []string{"q"}}}, ""},
		{[]certmap.Mapping{{ID: "y", User: "alice", Fingerprint: d}, {ID: "z", User: "Alice", SPKI: d}}, "two users"},
		{[]certmap.Mapping{{ID: "z", User: "a", Serial: big.NewInt(1), Issuer: d}}, "renewal"},
		{[]certmap.Mapping{{ID: "z", User: "a", Email: "a@b", Issuer: d}}, "address"},
		{[]certmap.Mapping{{ID: "z", User: "{user}", Subject: "CN={user}", Issuer: d}}, "every certificate of the CA"},
		{[]certmap.Mapping{{ID: "z", User: "{user}", Subject: "CN={user},O=Acme", Issuer: d}}, ""},
		{[]certmap.Mapping{{ID: "z", User: "a", URI: "spiffe://a/{user}", Issuer: d}}, "one user"},
		{[]certmap.Mapping{{ID: "z", User: "a", URI: "spiffe://a/a", Issuer: d}}, ""},
	} {
		found := table(t, row.mappings...).Lint(now, 24*time.Hour)
		if row.want == "" && len(found) > 0 || row.want != "" && (len(found) != 1 || !strings.HasPrefix(found[0].What, `mapping "z" `) || !strings.Contains(found[0].What, row.want)) {
			t.Errorf("%+v: %v, want %q", row.mappings, found, row.want)
		}
	}
}
