package certmap_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/trust"
)

// caller is a certificate as the values it was made of, so that reference does not parse a
// certificate.
type caller struct {
	v       trust.Verified
	serial  int64
	uris    []string
	dns     []string
	emails  []string
	subject string // the same text, if mappings use it
	direct  trust.Digest
	under   []trust.Digest
}

// reference returns the outcome of a list of mappings by the rules of docs/configuration.md alone,
// one mapping after another.
func reference(mappings []certmap.Mapping, c caller, port string, now time.Time) string {
	levels := make([][]certmap.Mapping, 8)
	captures := make([][]string, 8)
	for _, m := range mappings {
		if len(m.Ports) > 0 && !slices.Contains(m.Ports, port) {
			continue
		}
		level, capture, matches := matchOne(m, c)
		if !matches {
			continue
		}
		levels[level] = append(levels[level], m)
		captures[level] = append(captures[level], capture)
	}
	for level, found := range levels {
		if len(found) == 0 {
			continue
		}
		users := map[string]bool{}
		late := false
		for i, m := range found {
			switch {
			case m.Disabled:
			case !m.NotBefore.IsZero() && now.Before(m.NotBefore), !m.NotAfter.IsZero() && now.After(m.NotAfter):
				late = true
			default:
				users[strings.ReplaceAll(m.User, "{user}", captures[level][i])] = true
			}
		}
		switch {
		case len(users) > 1:
			return "[ambiguous]"
		case len(users) == 1:
			for u := range users {
				return u
			}
		case late:
			return "[mapping-expired]"
		}
		return "[unmapped]"
	}
	return "[unmapped]"
}

func matchOne(m certmap.Mapping, c caller) (level int, capture string, matches bool) {
	under := slices.Contains(c.under, m.Issuer)
	switch {
	case !m.Fingerprint.IsZero():
		return 0, "", m.Fingerprint == c.v.Fingerprint() && (under || m.Issuer.IsZero())
	case !m.SPKI.IsZero():
		return 1, "", m.SPKI == c.v.SPKI() && (under || m.Issuer.IsZero())
	case m.Serial != nil:
		return 2, "", m.Serial.Int64() == c.serial && m.Issuer == c.direct
	case strings.Contains(m.URI, "{user}"):
		if len(c.uris) != 1 || !under {
			return
		}
		capture, matches = hole(m.URI, c.uris[0], "/")
		return 7, capture, matches
	case m.URI != "":
		return 3, "", len(c.uris) == 1 && c.uris[0] == m.URI && under
	case m.DNS != "":
		return 4, "", slices.Contains(c.dns, m.DNS) && under
	case m.Email != "":
		return 5, "", slices.Contains(c.emails, m.Email) && under
	case strings.Contains(m.Subject, "{user}"):
		typ := m.Subject[strings.LastIndexAny(m.Subject[:strings.Index(m.Subject, "{")], ",+")+1 : strings.Index(m.Subject, "{")]
		if strings.Count(","+c.subject, ","+typ) != 1 || !under {
			return
		}
		capture, matches = hole(m.Subject, c.subject, ",")
		return 7, capture, matches
	}
	return 6, "", c.subject == m.Subject && under
}

// hole returns the value of {user} for which pattern equals text, if there is one without
// stop.
func hole(pattern, text, stop string) (string, bool) {
	before, after, _ := strings.Cut(pattern, "{user}")
	if len(text) < len(before)+len(after) || !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
		return "", false
	}
	value := text[len(before) : len(text)-len(after)]
	good := value != "" && value != "default" && !strings.Contains(value, stop) && !strings.ContainsAny(value, "!= ")
	return value, good
}

func TestMapEqualsAReadingOfTheDesign(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.ca.SubCA("Sub")
	keys := []trust.Digest{w.key, w.otherKey, trust.SPKIOf(sub.Cert)}
	r := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	subjectText := func() string {
		return pick("CN=a", "CN=b", "CN=default", "CN=a,OU=x", "CN=b,OU=x", "CN=a!,OU=x", "OU=x,CN=a", "CN=a,CN=b", "CN=a,OU=x,O=y", "CN=b,OU=a,O=y", "CN=a,OU=x,OU=a")
	}
	uri := func() string {
		return pick("spiffe://t/a", "spiffe://t/b", "spiffe://t/x/a", "spiffe://t/a/b", "https://t/default", "https://t/a!")
	}
	some := func(of func() string) []string {
		var out []string
		for range r.IntN(3) {
			out = append(out, of())
		}
		return out
	}
	dnsName := func() string { return pick("a.x", "b.x", "c.x") }
	email := func() string { return pick("a@x", "b@x", "c@x") }

	var callers []caller
	for i := range 60 {
		c := caller{serial: int64(r.IntN(3) + 1), subject: subjectText(), uris: some(uri), dns: some(dnsName), emails: some(email)}
		issuer := w.ca
		c.direct, c.under = keys[0], keys[:1]
		switch i % 3 {
		case 1:
			issuer, c.direct, c.under = w.other, keys[1], keys[1:2]
		case 2:
			issuer, c.direct, c.under = sub, keys[2], []trust.Digest{keys[2], keys[0]}
		}
		var names []attr
		for _, v := range c.uris {
			names = append(names, attr{tag: 0x86, value: v})
		}
		for _, v := range c.dns {
			names = append(names, attr{tag: 0x82, value: v})
		}
		for _, v := range c.emails {
			names = append(names, attr{tag: 0x81, value: v})
		}
		c.v = w.verify(t, issuer.Leaf("", subject(c.subject), serial(c.serial), san(names...)))
		callers = append(callers, c)
	}
	now := time.Now()
	outcomes := map[string]int{}
	for range 700 {
		var mappings []certmap.Mapping
		for i := range 2 + r.IntN(12) {
			m := certmap.Mapping{ID: fmt.Sprint(i), User: pick("a", "b", "c"), Disabled: r.IntN(6) == 0, Issuer: keys[r.IntN(3)]}
			target := callers[r.IntN(len(callers))].v
			switch r.IntN(10) {
			case 0:
				m.Fingerprint = target.Fingerprint()
				if r.IntN(2) == 0 {
					m.Issuer = trust.Digest{}
				}
			case 1:
				m.SPKI = target.SPKI()
				if r.IntN(2) == 0 {
					m.Issuer = trust.Digest{}
				}
			case 2:
				m.Serial = big.NewInt(int64(r.IntN(3) + 1))
			case 3:
				m.URI = strings.TrimSuffix(uri(), "!")
			case 4:
				m.DNS = dnsName()
			case 5:
				m.Email = email()
			case 6:
				m.Subject = subjectText()
			case 7, 8:
				m.Subject = pick("CN={user}", "CN={user},OU=x", "OU=x,CN={user}", "CN=a,OU={user}", "CN={user},OU=x,O=y", "CN=b,OU={user},O=y")
				m.User = pick("{user}", "{user}", "a")
			case 9:
				m.URI = pick("spiffe://t/{user}", "spiffe://t/x/{user}", "spiffe://t/{user}/b", "https://t/{user}")
				m.User = pick("{user}", "{user}", "b")
			}
			if r.IntN(4) == 0 {
				m.Ports = []string{pick("p", "q")}
			}
			switch r.IntN(6) {
			case 0:
				m.NotAfter = now.Add(-time.Hour)
			case 1:
				m.NotBefore = now.Add(time.Hour)
			case 2:
				m.NotBefore, m.NotAfter = now.Add(-time.Hour), now
			}
			mappings = append(mappings, m)
		}
		loaded, err := certmap.New(mappings...)
		for len(configerror.All(err)) > 0 { // remove conflicting mappings
			label := configerror.All(err)[0].What
			mappings = slices.DeleteFunc(mappings, func(m certmap.Mapping) bool { return strings.HasPrefix(label, fmt.Sprintf("mapping %q:", m.ID)) })
			loaded, err = certmap.New(mappings...)
		}
		loaded = loaded.WithClock(at(now))
		for _, c := range callers {
			for _, port := range []string{"p", "q"} {
				want := reference(mappings, c, port, now)
				outcomes[want]++
				if got := outcome(t, loaded, c.v, port); got != want {
					t.Fatalf("%+v\non %s by\n%+v:\n%s, want %s", c, port, mappings, got, want)
				}
			}
		}
	}
	for _, want := range []string{"a", "b", "c", "[unmapped]", "[ambiguous]", "[mapping-expired]"} {
		if outcomes[want] < 100 {
			t.Errorf("only %d results are %s: the test checks too little", outcomes[want], want)
		}
	}
}
