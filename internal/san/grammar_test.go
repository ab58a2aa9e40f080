package san_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/san"
)

// Covers C14.
func TestURIsHaveOneReading(t *testing.T) {
	t.Parallel()
	domain := strings.Repeat("a", 255)
	for _, uri := range []string{
		"spiffe://acme/orders", "spiffe://acme", "spiffe://acme.example/ns/a.b/sa/c_d-E", "spiffe://7/0", "spiffe://a-z_0.9/A-Z_0.9", "spiffe://z/...",
		"urn:acme:orders", "https://acme.example:8443/x?y=z", "https://acme.example/a/", "https://acme.example", "https://[::1]/a", "https://a/?b//../c", "urn:x:a%20b", "x:%5Ba%60",
		"a+b-c.0z:x", "z:x", "x:/", "x:a..b", "x:~!$&'()*+,;=@", "x:" + strings.Repeat("a", san.MaxURI-2), "spiffe://" + domain,
	} {
		if err := san.CheckURI(uri); err != nil {
			t.Errorf("%s: %v", uri, err)
		}
	}
	for _, uri := range []string{
		"spiffe://TD/a", "spiffe://td:80/a", "spiffe://u@td/a", "spiffe://td/a?b", "spiffe://td/a#b", "spiffe://td/a/../b", "spiffe://td/a/..", "spiffe://td/./b", "spiffe://td//b", "spiffe://td/",
		"spiffe://td/a/", "spiffe://td/%2e", "spiffe://td/ä", "spiffe:///a", "spiffe:td/a", "spiffe:/td/a", "SPIFFE://td/a", "Spiffe://td/a", "spiffe://td/a b", "spiffe://td/a@b", "spiffe://td/a:b",
		"spiffe://-td/a", "spiffe://.td/a", "spiffe://_td/a", "spiffe://", "spiffe://t~d/a", "spiffe://td/a~b", "spiffe://t{d/a", "spiffe://" + domain + "a",
		"", "acme", "/acme", "://x", ":x", "x:", "1x:y", "+x:y", "-x:y", ".x:y", "x y:z", "X:y", "xY:z", "x_y:z", "x/y:z", "https://a/../b", "https://a/..", "https://a/.", "https://a//b", "x://a//", "x:a//b", "x:../a", "x:./a",
		"https://u@a/b", "https:///b", "https://-a/b", "https://.a/b", "https://a/%2e%2e/b", "https://a/%2Fb", "https://a/%41", "https://a/%61", "https://a/%7a", "https://a/%5A", "https://a/%30", "https://a/%39", "https://a/%2d", "https://a/%5f", "https://a/%7E",
		"https://a/%00", "https://a/%1f", "https://a/%7f", "https://a/%5c", "https://a/%", "https://a/%4", "https://a/%zz", "https://a/%2", "https://a/%20%", "https://a/b#c", "x:#", "https://a/\u202eb", "https://a/\u200bb",
		"https://a/{b}", "https://a/|", "https://a/`", "https://a/^", "https://a/<", "https://a/>", "https://a/\"", "https://a/\\b", "https://a/\x00", "https://a/\n", "https://a/ ", "https://a/\x7f", "https://a/\x80",
		"x:" + strings.Repeat("a", san.MaxURI-1),
	} {
		if san.CheckURI(uri) == nil {
			t.Errorf("%q is accepted", uri)
		}
	}
}

// Covers C13.
func TestDNSNamesAreWholeNames(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("a", 63)
	longest := strings.Repeat(label+".", 3) + strings.Repeat("a", 61)
	for _, name := range []string{"a", "Z", "0", "9", "a.b", "A-b_c.example", "xn--hst-sna.corp", "1.2", label, label + ".b", longest} {
		if err := san.CheckDNS(name); err != nil || !san.IsDNS([]byte(name)) {
			t.Errorf("%q: got %v", name, err)
		}
	}
	for _, name := range []string{
		"", "*.corp", "*", "h*.corp", "host.corp.", ".", ".corp", "a..b", "a b", "höst.corp", "host\u212a", label + "a", label + "a.b", "b." + label + "a", longest + "a", "a/b", "a:1", "a@b", "a`b", "a{b", "a[b", "a\x00",
	} {
		if san.CheckDNS(name) == nil || san.IsDNS([]byte(name)) {
			t.Errorf("%q is accepted", name)
		}
	}
}

// Covers C11.
func TestAddressesHaveOneAtSign(t *testing.T) {
	t.Parallel()
	local := strings.Repeat("a", 64)
	for address, want := range map[string]int{
		"a@b": 1, "Alice@Corp.Example": 5, "a.b+c@d": 5, "!#$%&'*+-/=?^_`{|}~.09@x": 22, local + "@b": 64,
		"": -1, "a": -1, "@": -1, "@b": -1, "a@": -1, "a@b@c": -1, "a@@b": -1, `"admin@x"@y`: -1, `"a"@b`: -1, "a b@c": -1, "a@b c": -1, "a@*.b": -1, "ä@b": -1, "a@bä": -1, "a@b.": -1, "a,b@c": -1, "<a@b>": -1, "a\x00@b": -1,
		"a(b@c": -1, "a)b@c": -1, "a:b@c": -1, "a;b@c": -1, "a[b@c": -1, "a]b@c": -1, "a\\b@c": -1, "a\x7f@b": -1, local + "a@b": -1,
	} {
		at, ok := san.SplitEmail(address)
		if bytesAt, bytesOK := san.SplitEmail([]byte(address)); ok != (want > 0) || ok && at != want || bytesAt != at || bytesOK != ok {
			t.Errorf("%q: %d, %t, want %d", address, at, ok, want)
		}
	}
	if got := string(san.AppendEmailKey([]byte("x"), "Alice@CORP.Zz", 5)); got != "xAlice@corp.zz" {
		t.Errorf("got %q, want %q", got, "xAlice@corp.zz")
	}
	if got := string(san.AppendDNSKey([]byte("x"), "A@Z[`az{\u212a")); got != "xa@z[`az{\u212a" {
		t.Errorf("got %q, want %q", got, "xa@z[`az{\u212a")
	}
}

// Covers C12.
func TestSoleURI(t *testing.T) {
	t.Parallel()
	cert := func(values ...string) *x509.Certificate {
		all := encode(t, name(2, san.DNS, "a"))
		for _, v := range values {
			all = append(all, encode(t, name(2, san.URI, v))[2:]...)
		}
		all[1] = byte(len(all) - 2)
		return &x509.Certificate{Extensions: []pkix.Extension{extension(all)}}
	}
	if uri, err := san.SoleURI(cert("x:a")); err != nil || string(uri) != "x:a" {
		t.Errorf("got %q, %v; want x:a", uri, err)
	}
	for want, values := range map[error][]string{san.ErrNoURI: nil, san.ErrManyURIs: {"x:a", "x:a"}} {
		if uri, err := san.SoleURI(cert(values...)); !errors.Is(err, want) || uri != nil {
			t.Errorf("%q: got %q, %v; want %v", values, uri, err, want)
		}
	}
}
