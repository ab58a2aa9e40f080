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

func TestExplainFindsNearMisses(t *testing.T) {
	t.Parallel()
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
		{two, certmap.Mapping{User: "{user}", URI: "spiffe://acme/sa/{user}"}, mapresult.NearMiss, "more than one URI"},
		{v, certmap.Mapping{User: "{user}", URI: "spiffe://acme/sb/{user}"}, mapresult.Differs, ""},
		{w.leaf(t, uris("x:/")), certmap.Mapping{User: "{user}", URI: "spiffe://acme/sb/{user}"}, mapresult.Differs, ""},
		{w.leaf(t, uris("https://a/bob/x")), certmap.Mapping{User: "{user}", URI: "https://a/{user}/y"}, mapresult.Differs, ""},
		{w.leaf(t, dns("host.acme.example")), certmap.Mapping{DNS: "hst.acme.example"}, mapresult.Differs, ""},
		{w.leaf(t, dns("a .example")), certmap.Mapping{DNS: "a.example"}, mapresult.NearMiss, "blanks or characters that do not show"},
		{w.leaf(t, dns("a\x01.example")), certmap.Mapping{DNS: "a.example"}, mapresult.NearMiss, "blanks or characters that do not show"},
		{w.leaf(t, dns("*.other.example")), certmap.Mapping{DNS: "a.acme.example"}, mapresult.Differs, ""},
		{w.leaf(t, emails("a@acme.example", "a@b@acme.example")), certmap.Mapping{Email: "b@acme.example"}, mapresult.Differs, ""},
		{w.leaf(t, emails("a@b@c")), certmap.Mapping{Email: "a@b"}, mapresult.Differs, ""},
		{w.leaf(t, serial(0x1234)), certmap.Mapping{Serial: big.NewInt(1235)}, mapresult.Differs, ""},
		{v, certmap.Mapping{Fingerprint: w.key}, mapresult.NearMiss, "issuer"},
		{v, certmap.Mapping{Fingerprint: trust.Digest{1}}, mapresult.Differs, ""},
		{hostile, certmap.Mapping{User: "{user}", Subject: "CN={user}"}, mapresult.Differs, "control"},
		{v, certmap.Mapping{User: "{user}", Subject: "UID={user},OU=Staff,O=Acme"}, mapresult.Differs, ""},
		{two, certmap.Mapping{User: "{user}", Subject: "CN={user},OU=Staff,O=Acme"}, mapresult.NearMiss, "occurs twice"},
		{two, certmap.Mapping{User: "{user}", Subject: "CN={user},OU=Other"}, mapresult.Differs, ""},
		{two, certmap.Mapping{User: "{user}", Subject: "CN={user}"}, mapresult.NearMiss, "occurs twice"},
		{v, certmap.Mapping{User: "{user}", Subject: "CN={user},O=Acme"}, mapresult.NearMiss, `the mapping lacks "OU=Staff"`},
		{v, certmap.Mapping{Subject: "CN=alice"}, mapresult.Differs, ""},
		{v, certmap.Mapping{Subject: "CN=alice,OU=Staff,C=DE"}, mapresult.Differs, ""},
		{w.leaf(t, subject("CN=alice")), certmap.Mapping{Subject: "CN=alice,OU=Staff"}, mapresult.NearMiss, `the certificate lacks "OU=Staff"`},
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

func TestExplainNamesTheDecidingKind(t *testing.T) {
	t.Parallel()
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
		t.Errorf("captured %q, want %q", last.User, "alice")
	}
	// A serial number counts under its direct issuer only.
	sub := w.ca.SubCA("Sub")
	below := w.verify(t, sub.Leaf("x", serial(7)))
	steps = table(t, certmap.Mapping{ID: "m", User: "u", Serial: big.NewInt(7), Issuer: w.key}).Explain(below, "p")
	if steps[0].Result != mapresult.OtherIssuer || !strings.Contains(steps[0].Why, "further up") {
		t.Error(steps[0])
	}
}

// The values of the certificate are quoted, and at most five of a kind are listed.
func TestExplanationListsTheFirstValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := func(m certmap.Mapping, v trust.Verified) string {
		m.ID, m.User, m.Issuer = "m", "u", w.key
		return table(t, m).Explain(v, "p")[0].Got
	}
	v := w.leaf(t, dns("1.x", "2.x", "3.x", "4.x", "5.x"))
	if five, want := got(certmap.Mapping{DNS: "a"}, v), `"1.x", "2.x", "3.x", "4.x", "5.x"`; five != want {
		t.Errorf("%s, want %s", five, want)
	}
	v = w.leaf(t, dns("1.x", "2.x", "3.x", "4.x", "5.x", "6.x", "7.x"))
	if seven, want := got(certmap.Mapping{DNS: "a"}, v), `"1.x", "2.x", "3.x", "4.x", "5.x" and 2 more`; seven != want {
		t.Errorf("%s, want %s", seven, want)
	}
	v = w.leaf(t, subject("CN=alice"), serial(0xab))
	for want, m := range map[string]certmap.Mapping{
		"none": {Email: "a@b"}, `"AB"`: {Serial: big.NewInt(1)}, `"CN=alice"`: {Subject: "CN=bob"}, v.Fingerprint().String(): {Fingerprint: trust.Digest{1}}, v.SPKI().String(): {SPKI: trust.Digest{1}},
	} {
		if got := got(m, v); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := got(certmap.Mapping{Subject: "CN=bob"}, w.leaf(t, rdns(each(cn("a\x00"))...))); got != "none" {
		t.Errorf("a rejected subject: %s, want none", got)
	}
	step := table(t, certmap.Mapping{ID: "é", User: "u", Subject: "CN=alice", Issuer: w.key, File: "users.yaml", Line: 3}).Explain(v, "p")[0]
	if step.File != "users.yaml" || step.Line != 3 || step.Wanted != "CN=alice" || step.String() != `subject "\u00e9": matches: wanted "CN=alice", got "CN=alice", user "u"` {
		t.Errorf("%+v: got %s, want alice in users.yaml:3", step, step)
	}
}

// A large table is explained by the mappings that match or nearly match.
func TestExplanationOfALargeTableIsBounded(t *testing.T) {
	t.Parallel()
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

// The mappings that Explain reports as matching give the user that Map finds.
func TestExplainAgreesWithMap(t *testing.T) {
	t.Parallel()
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

func TestLintReportsProbableErrors(t *testing.T) {
	t.Parallel()
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
