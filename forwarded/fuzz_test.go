package forwarded_test

import (
	"encoding/pem"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
)

// wantSameWhenReread checks that certificates in the given headers are read as the same
// certificates.
func wantSameWhenReread(t *testing.T, topology forwarded.Topology, got certs, cert, chain string) {
	t.Helper()
	if len(got) == 0 || len(got) > 10 {
		t.Fatalf("%d certificates", len(got))
	}
	again, err := forwarded.ParseHeaders(topology, cert, chain)
	if err != nil || !slices.EqualFunc(got, again, (*certificate).Equal) {
		t.Fatalf("read again: %d certificates instead of %d, %v", len(again), len(got), err)
	}
}

// headersOf returns the headers of a product for several certificates.
func headersOf(name string) [][2]string {
	w := shared()
	p := products[name]
	var out [][2]string
	for _, c := range []certs{w.alice.Presented(), w.carol.Presented(), w.dave.Presented()} {
		h := p.encode(c)
		chain := ""
		if len(p.headers) > 1 {
			chain = h.Get(p.headers[1])
		}
		out = append(out, [2]string{h.Get(p.headers[0]), chain})
	}
	return out
}

func FuzzRFC9440(f *testing.F) {
	topology := forwarded.RFC9440()
	for _, text := range headersOf("rfc9440") {
		f.Add(text[0], text[1])
		f.Add(text[0]+";a=1", "("+text[1]+")")
	}
	f.Add(":QQ==:", ":QQ==:, :QQ==:;x")
	f.Fuzz(func(t *testing.T, cert, chain string) {
		got, err := forwarded.ParseHeaders(topology, cert, chain)
		if err != nil {
			return
		}
		if cert != sequence(got[0]) {
			t.Fatalf("a second text for one certificate: %q, want %q", cert, sequence(got[0]))
		}
		wantSameWhenReread(t, topology, got, sequence(got[0]), sequences(got[1:]))
	})
}

func FuzzBase64DER(f *testing.F) {
	for _, name := range []string{"haproxy", "traefik", "caddy"} {
		for _, text := range headersOf(name) {
			f.Add(text[0])
			f.Add(text[1])
			f.Add(text[0] + "," + text[0])
		}
	}
	listed, joint, single := forwarded.Traefik(), forwarded.HAProxy("", ""), forwarded.Caddy("")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := forwarded.ParseHeaders(joint, text, ""); err == nil {
			if text != encode(joined(got)) {
				t.Fatal("a second text for one chain")
			}
			wantSameWhenReread(t, joint, got, text, "")
			if text != "" {
				wantSameWhenReread(t, joint, got, encode(got[0].Raw), encode(joined(got[1:])))
			}
		}
		if got, err := forwarded.ParseHeaders(listed, text, ""); err == nil {
			var texts []string
			for _, c := range got {
				texts = append(texts, encode(c.Raw))
			}
			if text != strings.Join(texts, ",") {
				t.Fatal("a second text for one list")
			}
		}
		if got, err := forwarded.ParseHeaders(single, text, ""); err == nil && (len(got) != 1 || text != encode(got[0].Raw)) {
			t.Fatal("a second text for one certificate")
		}
	})
}

func FuzzEscapedPEM(f *testing.F) {
	for _, name := range []string{"nginx", "apache", "aws-alb"} {
		for _, text := range headersOf(name) {
			f.Add(text[0])
			f.Add(strings.ReplaceAll(text[0], "%0A", "%0D%0A"))
		}
	}
	f.Add("-----BEGIN%20CERTIFICATE-----%0AQQ==%0A-----END%20CERTIFICATE-----%0A")
	topology := forwarded.Nginx("", "")
	f.Fuzz(func(t *testing.T, text string) {
		// The standard library is more lenient, but must give the same result.
		plain, err := forwarded.Unescape(text)
		if std, stdErr := url.PathUnescape(text); err == nil && (stdErr != nil || std != plain) {
			t.Fatalf("%q, and %q, %v", plain, std, stdErr)
		}
		got, err := forwarded.ParseHeaders(topology, text, "")
		if err != nil {
			return
		}
		rest := []byte(plain)
		for i, c := range got {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil || string(block.Bytes) != string(c.Raw) {
				t.Fatalf("block %d is another certificate", i)
			}
		}
		if len(rest) > 0 {
			t.Fatalf("%q was skipped", rest)
		}
		wantSameWhenReread(t, topology, got, escape(pemOf(got), "-", "%%%02X"), "")
	})
}

func FuzzFlatPEM(f *testing.F) {
	for _, text := range headersOf("nginx") {
		plain, err := forwarded.Unescape(text[0])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.ReplaceAll(strings.TrimSpace(plain), "\n", " "))
		f.Add(strings.ReplaceAll(plain, "\n", ""))
	}
	for _, text := range headersOf("webmethods") {
		f.Add(text[0])
	}
	topology := forwarded.WebMethods()
	f.Fuzz(func(t *testing.T, text string) {
		if ders, err := forwarded.ReadFlatPEM(text); err == nil && (len(ders) == 0 || len(ders) > 10) {
			t.Fatalf("%d blocks", len(ders))
		}
		got, err := forwarded.ParseHeaders(topology, text, "")
		if err != nil {
			return
		}
		for _, again := range []string{
			strings.ReplaceAll(pemOf(got), "\n", " "), strings.ReplaceAll(pemOf(got), "\n", ""), encode([]byte(pemOf(got))), escape(pemOf(got), "-", "%%%02X"),
		} {
			wantSameWhenReread(t, topology, got, again, "")
		}
	})
}

func FuzzXFCC(f *testing.F) {
	for _, text := range headersOf("envoy") {
		f.Add(text[0])
		f.Add(text[0] + "," + text[0])
		f.Add(strings.ReplaceAll(text[0], `"`, ""))
	}
	f.Add(`By=x;Hash=00;Subject="a\"b,c;d=e\\";URI=;DNS=a;DNS=b`)
	topology := forwarded.Envoy()
	f.Fuzz(func(t *testing.T, text string) {
		got, err := forwarded.ParseHeaders(topology, text, "")
		if err != nil {
			return
		}
		wantSameWhenReread(t, topology, got, products["envoy"].encode(got).Get("X-Forwarded-Client-Cert"), "")
		// Only one element is read: text before or after it is an error.
		for _, evil := range []string{`By=x;Subject="CN=admin",` + text, text + `,By=x;Subject="CN=admin"`, text + ";" + text} {
			if _, err := forwarded.ParseHeaders(topology, evil, ""); err == nil {
				t.Fatalf("read: %q", evil)
			}
		}
	})
}

func FuzzParseTopology(f *testing.F) {
	for _, name := range forwarded.Formats() {
		f.Add(name, "", "", "")
		f.Add(name, products[name].headers[0], "X-Verify", "SUCCESS")
	}
	f.Add("nginx", "Client_Cert", "a b", "\x00")
	f.Add("google-cloud", "", "\x12", " ")
	f.Add("rfc9440", "\x12", "\x12", "")
	f.Fuzz(func(t *testing.T, name, header, verified, value string) {
		topology, err := forwarded.ParseTopology(name, header, verified, value)
		if err != nil {
			for _, m := range configerror.All(err) {
				if m.What == "" || m.Hint == "" || strings.ContainsFunc(m.What+m.Hint, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Fatalf("got %+q, want a printable error with a hint", m)
				}
			}
			return
		}
		r := receiver(t, topology)
		for i, h := range r.Headers() {
			if h == "" || h != http.CanonicalHeaderKey(h) || slices.Contains(r.Headers()[:i], h) {
				t.Fatalf("reads %q", r.Headers())
			}
			// A repeated header is refused, with any values.
			if got := verifyHeaders(t, r, http.Header{h: {"x", "x"}}); got != "bad-header" {
				t.Fatalf("%s twice: %s, want bad-header", h, got)
			}
		}
	})
}
