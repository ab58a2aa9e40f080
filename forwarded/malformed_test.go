package forwarded_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// badHeaders are headers with one error.
type badHeaders struct {
	name string
	h    http.Header
}

func wantBadHeader(t *testing.T, r *forwarded.Receiver, all []badHeaders) {
	t.Helper()
	for _, s := range all {
		if got := verifyHeaders(t, r, s.h); got != "bad-header" {
			t.Errorf("%s: %s, want bad-header", s.name, got)
		}
	}
}

// Covers F4.
func TestRepeatedHeadersAreRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology())
		good, evil := p.encode(w.alice.Presented()), p.encode(w.bob.Presented())
		for _, h := range p.headers {
			h = http.CanonicalHeaderKey(h)
			value, other := good.Get(h), evil.Get(h)
			if value == "" {
				value, other = sequence(w.ca.Cert), sequence(w.gatewayCA.Cert)
			}
			for _, values := range [][]string{{other, value}, {value, other}, {value, value}, {value, ""}, {"", value}, {}, {value + ", " + other}, {value + "," + value}, {value + ","}, {"," + value}, {value + " "}, {" " + value}} {
				if (name == "rfc9440" || name == "google-cloud") && strings.HasSuffix(h, "-Chain") && len(values) == 1 && strings.Contains(values[0], value+",") && values[0] != value+"," {
					continue // this header is a list
				}
				spoiled := good.Clone()
				spoiled[h] = values
				if got := verifyHeaders(t, r, spoiled); got != "bad-header" {
					t.Errorf("%s, %s has %.60q: %s, want bad-header", name, h, values, got)
				}
			}
		}
	}
}

// Covers F3.
func TestOtherSpellingsOfHeadersAreRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology())
		for _, h := range p.headers {
			canonical := http.CanonicalHeaderKey(h)
			for _, spelling := range []string{
				strings.ToLower(h), strings.ToUpper(h), strings.ReplaceAll(canonical, "-", "_"), strings.ReplaceAll(canonical, "-", "."),
				strings.Replace(canonical, "-", "_", 1), http.CanonicalHeaderKey(strings.ReplaceAll(h, "-", "_")),
			} {
				for _, value := range []string{"x", "", p.encode(w.bob.Presented()).Get(h)} {
					beside := p.encode(w.alice.Presented())
					beside[spelling] = []string{value}
					alone := p.encode(w.alice.Presented())
					alone[spelling] = alone[canonical]
					delete(alone, canonical)
					if spelling == canonical || len(alone[spelling]) == 0 {
						continue
					}
					wantBadHeader(t, r, []badHeaders{{name + ", beside it " + spelling, beside}, {name + ", alone " + spelling, alone}})
				}
			}
		}
		// Other headers are ignored.
		h := p.encode(w.alice.Presented())
		for _, other := range []string{p.headers[0] + "-X", p.headers[0][1:], "Accept", "X-Request-Id", "Connection"} {
			h[http.CanonicalHeaderKey(other)] = []string{"a", p.headers[0]}
		}
		if got := verifyHeaders(t, r, h); got != "alice" {
			t.Errorf("%s, with other headers: %s, want alice", name, got)
		}
	}
}

// Covers F15.
func TestAnnouncedTrailersAreRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		r := receiver(t, p.topology())
		h := p.encode(w.alice.Presented())
		for _, header := range p.headers {
			for _, spelling := range []string{http.CanonicalHeaderKey(header), strings.ToLower(header), strings.ReplaceAll(header, "-", "_")} {
				_, err := r.Verify(t.Context(), r.Read(h, http.Header{"Checksum": nil, spelling: nil}))
				if err == nil || reasonOf(t, err) != "bad-header" {
					t.Errorf("%s, trailer %s: %v", name, spelling, err)
				}
			}
		}
		if _, err := r.Verify(t.Context(), r.Read(h, http.Header{"Checksum": nil})); err != nil {
			t.Errorf("%s, an ordinary trailer: %v", name, err)
		}
	}
}

// Covers F8.
func TestOtherSyntaxThanRFC9440IsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	good, der := sequence(w.alice.Cert), w.alice.Cert.Raw
	text := encode(der)
	padded := leafWithPadding(w.ca)
	var all []badHeaders
	for _, v := range []string{
		":QQ==:", "QQ==", ":QQ==:;x", ":QQ=:", ":QQ:", "::", ":", ":::", "x", `"` + text + `"`, text, ":" + text, text + ":", good + good, good + ";a", good + ";a=1", good + "; a",
		":" + text[:40] + " " + text[40:] + ":", ":" + text[:40] + "\n" + text[40:] + ":", ": " + text + ":", ":" + text + " :", ":" + text + "=:", ":" + text + "==:", ":====:",
		":" + encode(append(der[:len(der):len(der)], 0)) + ":", ":" + encode(der[:len(der)-1]) + ":", ":" + encode(append(der[:len(der):len(der)], der...)) + ":",
		":" + encode([]byte(pemOf(certs{w.alice.Cert}))) + ":", escape(pemOf(certs{w.alice.Cert}), "-", "%%%02X"), strings.ReplaceAll(pemOf(certs{w.alice.Cert}), "\n", " "),
		"(" + good + ")", "a=" + good, "?1", "1", "@1", "%" + good, strings.ReplaceAll(good, "+", "-"), strings.TrimRight(sequence(padded.Cert), "=:") + ":",
		withSlackBits(sequence(padded.Cert)), ":" + encode(w.alice.Cert.RawTBSCertificate) + ":", good + "\x00", "\xff" + good, good + ", " + good,
	} {
		if v == good {
			continue // the value has nothing to replace
		}
		all = append(all, badHeaders{v[:min(len(v), 60)], newHeader("Client-Cert", v)})
	}
	all = append(all, badHeaders{"empty", http.Header{"Client-Cert": {""}}})
	r := receiver(t, forwarded.RFC9440())
	if got := verifyHeaders(t, r, newHeader("Client-Cert", sequence(padded.Cert))); got != "alice" {
		t.Fatal(got)
	}
	wantBadHeader(t, r, all)
}

// leafWithPadding returns a certificate whose base64 ends with an equals sign.
func leafWithPadding(ca *testpki.Pair) *testpki.Pair {
	for n := 0; ; n++ {
		p := ca.Leaf("alice", func(c *certificate) { c.Subject.OrganizationalUnit = []string{strings.Repeat("x", 1+n%3)} })
		if strings.HasSuffix(encode(p.Cert.Raw), "=") {
			return p
		}
	}
}

// withSlackBits sets a bit of the last base64 digit that belongs to no byte.
func withSlackBits(sequence string) string {
	i := strings.IndexByte(sequence, '=') - 1
	c := sequence[i] + 1
	return sequence[:i] + string(c) + sequence[i+1:]
}

// Covers F10.
func TestChainsAreBoundedAndComplete(t *testing.T) {
	t.Parallel()
	w := shared()
	r := receiver(t, forwarded.RFC9440())
	leaf, chain := sequence(w.dave.Cert), sequences(w.dave.Chain)
	deep := func(n int) string { return strings.Repeat(sequence(w.ca.Cert)+", ", n-1) + sequence(w.ca.Cert) }
	if got := verifyHeaders(t, r, newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain)); got != "dave" {
		t.Fatal(got)
	}
	if got := verifyHeaders(t, r, newHeader("Client-Cert", leaf, "Client-Cert-Chain", sequence(w.dave.Chain[1])+","+sequence(w.dave.Chain[0]))); got != "dave" {
		t.Errorf("in another order, as clients may send it: %s, want dave", got)
	}
	if got := verifyHeaders(t, r, newHeader("Client-Cert", leaf, "Client-Cert-Chain", deep(9))); got != "unknown-authority" {
		t.Errorf("10 unrelated certificates: %s, want unknown-authority", got)
	}
	if got := verifyHeaders(t, r, newHeader("Client-Cert", leaf)); got != "unknown-authority" {
		t.Errorf("without the chain, after a request with it: %s, want unknown-authority", got)
	}
	if got := verifyHeaders(t, r, http.Header{"Client-Cert": {sequence(w.alice.Cert)}, "Client-Cert-Chain": {""}}); got != "alice" {
		t.Errorf("an empty list: %s, want alice", got)
	}
	wantBadHeader(t, r, []badHeaders{
		{"without a leaf", newHeader("Client-Cert-Chain", chain)},
		{"with an empty leaf", http.Header{"Client-Cert": {""}, "Client-Cert-Chain": {chain}}},
		{"the leaf repeated", newHeader("Client-Cert", leaf, "Client-Cert-Chain", leaf+", "+chain)},
		{"the leaf repeated at the end", newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain+", "+leaf)},
		{"11 certificates", newHeader("Client-Cert", leaf, "Client-Cert-Chain", deep(10))},
		{"two lines", http.Header{"Client-Cert": {leaf}, "Client-Cert-Chain": {sequence(w.dave.Chain[0]), sequence(w.dave.Chain[1])}}},
		{"a comma too many", newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain+",")},
		{"a comma before", newHeader("Client-Cert", leaf, "Client-Cert-Chain", ","+chain)},
		{"two commas", newHeader("Client-Cert", leaf, "Client-Cert-Chain", strings.Replace(chain, ",", ",,", 1))},
		{"a semicolon", newHeader("Client-Cert", leaf, "Client-Cert-Chain", strings.Replace(chain, ",", ";", 1))},
		{"parameters", newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain+";a=1")},
		{"parameters of the first", newHeader("Client-Cert", leaf, "Client-Cert-Chain", strings.Replace(chain, ",", ";a,", 1))},
		{"an inner list", newHeader("Client-Cert", leaf, "Client-Cert-Chain", "("+sequence(w.dave.Chain[0])+")")},
		{"no certificate in it", newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain+", :QQ==:")},
		{"a token in it", newHeader("Client-Cert", leaf, "Client-Cert-Chain", chain+", x")},
		{"blanks before it", newHeader("Client-Cert", leaf, "Client-Cert-Chain", " "+chain)},
	})
	for _, x := range []struct {
		topology forwarded.Topology
		h        http.Header
	}{
		{forwarded.Traefik(), newHeader("X-Forwarded-Tls-Client-Cert", strings.TrimSuffix(encode(w.alice.Cert.Raw)+","+strings.Repeat(encode(w.ca.Cert.Raw)+",", 10), ","))},
		{forwarded.HAProxy("", ""), newHeader("X-SSL-Client-Cert", encode(w.alice.Cert.Raw), "X-SSL-Client-Cert-Chain", encode([]byte(strings.Repeat(string(w.ca.Cert.Raw), 10))))},
		{forwarded.HAProxy("", ""), newHeader("X-SSL-Client-Cert", encode(w.alice.Cert.Raw), "X-SSL-Client-Cert-Chain", encode(append(joined(w.dave.Chain), 0)))},
		{forwarded.HAProxy("", ""), newHeader("X-SSL-Client-Cert", encode(w.alice.Cert.Raw), "X-SSL-Client-Cert-Chain", encode(w.alice.Cert.Raw))},
		{forwarded.Nginx("", ""), newHeader("X-SSL-Client-Cert", escape(pemOf(certs{w.alice.Cert})+strings.Repeat(pemOf(certs{w.ca.Cert}), 10), "-+/=", "%%%02X"))},
		{forwarded.Envoy(), newHeader("X-Forwarded-Client-Cert", "Chain="+escape(pemOf(certs{w.alice.Cert})+strings.Repeat(pemOf(certs{w.ca.Cert}), 10), "-+/", "%%%02X"))},
		{forwarded.Traefik(), newHeader("X-Forwarded-Tls-Client-Cert", encode(w.alice.Cert.Raw)+","+encode(w.alice.Cert.Raw))},
	} {
		if got := verifyHeaders(t, receiver(t, x.topology), x.h); got != "bad-header" {
			t.Errorf("%v: %s, want bad-header", x.h, got)
		}
	}
}

// Covers F8.
func TestLongHeadersAreRefusedBeforeParsing(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, p := range products {
		h := p.encode(w.alice.Presented())
		r := receiver(t, p.topology())
		first := http.CanonicalHeaderKey(p.headers[0])
		wantBadHeader(t, r, []badHeaders{{name, withHeader(h, first, h.Get(first)+strings.Repeat("A", 16<<10))}, {name, withHeader(h, first, strings.Repeat("A", 1<<20))}})
	}
	r := receiver(t, forwarded.RFC9440())
	h := newHeader("Client-Cert", sequence(w.alice.Cert), "Client-Cert-Chain", sequence(w.ca.Cert))
	size := len(h.Get("Client-Cert")) + len(h.Get("Client-Cert-Chain"))
	fill := func(n int) http.Header {
		return withHeader(h, "Client-Cert-Chain", h.Get("Client-Cert-Chain")+","+strings.Repeat(" ", n-1)+sequence(w.gatewayCA.Cert))
	}
	left := 16<<10 - size - len(sequence(w.gatewayCA.Cert))
	if got := verifyHeaders(t, r, fill(left)); got != "alice" {
		t.Errorf("16 KiB: %s, want alice", got)
	}
	if got := verifyHeaders(t, r, fill(left+1)); got != "bad-header" {
		t.Errorf("16 KiB and a byte: %s, want bad-header", got)
	}
}

// PEM must be the whole value.
// Covers F8.
func TestTextAroundPEMIsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	text := pemOf(certs{w.alice.Cert})
	lines := strings.SplitAfter(strings.TrimSpace(text), "\n")
	body := strings.Join(lines[1:len(lines)-1], "")
	spoiled := map[string]string{
		"text before it":            "subject=CN = bob\n" + text,
		"a newline before it":       "\n" + text,
		"a blank before it":         " " + text,
		"text behind it":            text + "x",
		"a newline too many":        text + "\n",
		"a NUL behind it":           text + "\x00",
		"another block":             strings.ReplaceAll(text, "CERTIFICATE", "TRUSTED CERTIFICATE"),
		"a key behind it":           text + "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n",
		"a key before it":           "-----BEGIN PRIVATE KEY-----\nQQ==\n-----END PRIVATE KEY-----\n" + text,
		"text between blocks":       text + "x\n" + pemOf(certs{w.ca.Cert}),
		"nothing between blocks":    strings.TrimSpace(text) + pemOf(certs{w.ca.Cert}),
		"an empty line between":     text + "\n" + pemOf(certs{w.ca.Cert}),
		"a PEM header":              lines[0] + "Proc-Type: 4,ENCRYPTED\n\n" + body + lines[len(lines)-1],
		"an empty line":             lines[0] + "\n" + body + lines[len(lines)-1],
		"a blank in a line":         strings.Replace(text, lines[1][:4], lines[1][:4]+" ", 1),
		"a blank behind a line":     strings.Replace(text, lines[1], strings.TrimSpace(lines[1])+" \n", 1),
		"a short line in between":   strings.Replace(text, lines[1], lines[1][:8]+"\n"+lines[1][8:], 1),
		"a longer last line":        lines[0] + lines[1][:8] + "\n" + strings.ReplaceAll(body[8:], "\n", "") + "\n" + lines[len(lines)-1],
		"a carriage return":         strings.Replace(text, "\n", "\r\n", 1),
		"a carriage return later":   strings.Replace(text, lines[1], strings.TrimSpace(lines[1])+"\r\n", 1),
		"no end":                    lines[0] + body,
		"no beginning":              body + lines[len(lines)-1],
		"the end of another":        lines[0] + body + "-----END X509 CRL-----\n",
		"no newline before the end": lines[0] + strings.TrimSuffix(body, "\n") + lines[len(lines)-1],
		"nothing in it":             lines[0] + lines[len(lines)-1],
		"no certificate in it":      lines[0] + "QQ==\n" + lines[len(lines)-1],
		"base64 without its end":    lines[0] + "QQ\n" + lines[len(lines)-1],
		"base64 with slack":         lines[0] + "QR==\n" + lines[len(lines)-1],
		"lower case":                strings.ToLower(text),
		"four dashes":               text[1:],
		"two beginnings":            lines[0] + lines[0] + body + lines[len(lines)-1],
	}
	for name, bad := range spoiled {
		for format, h := range map[string]http.Header{
			"nginx":           newHeader("X-SSL-Client-Cert", escape(bad, "-_.~", "%%%02X"), "X-SSL-Client-Verify", "SUCCESS"),
			"apache":          newHeader("X-SSL-Client-Cert", escape(bad, "$-_.+!*'(),:@&=/~", "%%%02x"), "X-SSL-Client-Verify", "SUCCESS"),
			"aws-alb":         newHeader("X-Amzn-Mtls-Clientcert-Leaf", escape(bad, "-+=/", "%%%02X")),
			"envoy":           newHeader("X-Forwarded-Client-Cert", `Cert="`+escape(bad, "-", "%%%02X")+`"`),
			"webmethods":      newHeader("X-Client-Cert", escape(bad, "-", "%%%02X")),
			"webmethods flat": newHeader("X-Client-Cert", strings.ReplaceAll(bad, "\n", " ")),
			"webmethods 64":   newHeader("X-Client-Cert", encode([]byte(bad))),
		} {
			if format == "webmethods flat" && name == "a newline too many" {
				continue // HTTP removes spaces at the end of a value
			}
			format, _, _ = strings.Cut(format, " ")
			if got := verifyHeaders(t, receiver(t, products[format].topology()), h); got != "bad-header" {
				t.Errorf("%s, %s: %s\n%s", format, name, got, h)
			}
		}
	}
}

// Covers F8.
func TestOtherPercentEncodingsAreRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	good := escape(pemOf(certs{w.alice.Cert}), "-", "%%%02X")
	r := receiver(t, forwarded.Nginx("", ""))
	var all []badHeaders
	for name, v := range map[string]string{
		"encoded twice":                    escape(good, "-", "%%%02X"),
		"a plus for a blank":               strings.Replace(good, "%20", "+", 1),
		"a bare blank":                     strings.Replace(good, "%20", " ", 1),
		"a bare tab":                       strings.Replace(good, "%20", "\t", 1),
		"half an escape":                   good + "%",
		"more than half":                   good + "%0",
		"no hex":                           strings.Replace(good, "%20", "%2G", 1),
		"signed hex":                       strings.Replace(good, "%20", "%+2", 1),
		"overlong hex":                     strings.Replace(good, "%20", "%u0020", 1),
		"an escaped NUL":                   good + "%00",
		"an escaped quote":                 good + "%22",
		"an escaped tab":                   strings.Replace(good, "%20", "%09", 1),
		"an escaped high byte":             good + "%FF",
		"a high byte":                      good + "\xff",
		"an underscore":                    good + "_",
		"quotes around it":                 `"` + good + `"`,
		"a comma and a second":             good + "," + good,
		"an unescaped newline":             pemOf(certs{w.alice.Cert}),
		"base64 of DER":                    encode(w.alice.Cert.Raw),
		"RFC 9440":                         sequence(w.alice.Cert),
		"not PEM":                          "x",
		"base64 for URLs":                  strings.ReplaceAll(strings.ReplaceAll(good, "%2B", "-"), "%2F", "_") + "_",
		"a plus as in forms":               strings.ReplaceAll(good, "%20", "+"),
		"the format of old nginx versions": strings.ReplaceAll(pemOf(certs{w.alice.Cert}), "\n", "\n\t"),
	} {
		all = append(all, badHeaders{name, newHeader("X-SSL-Client-Cert", v)})
	}
	if got := verifyHeaders(t, r, newHeader("X-SSL-Client-Cert", good)); got != "alice" {
		t.Fatal(got)
	}
	wantBadHeader(t, r, all)
}

// Covers F6, F7.
func TestXFCCIsOneElementWithACertificate(t *testing.T) {
	t.Parallel()
	w := shared()
	of := func(p *testpki.Pair) string { return escape(pemOf(certs{p.Cert}), "-", "%%%02X") }
	cert, hash := `Cert="`+of(w.alice)+`"`, "Hash="+fingerprint(w.alice)
	good := "By=spiffe://acme/gateway;" + hash + ";" + cert + `;Subject="CN=bob";URI=spiffe://acme/bob;DNS=bob.example`
	r := receiver(t, forwarded.Envoy())
	for _, v := range []string{
		good, cert, "Cert=" + of(w.alice), good + ";DNS=a;DNS=b;URI=;URI=b;By=x", cert + `;Subject="a \"quoted\", b=c; d"`, cert + `;Subject="back\slash"`, cert + `;Subject=""`,
	} {
		if got := verifyHeaders(t, r, newHeader("X-Forwarded-Client-Cert", v)); got != "alice" {
			t.Errorf("%s: %s, want alice", v, got)
		}
	}
	var all []badHeaders
	for name, v := range map[string]string{
		"another element before it":         "By=x;Subject=\"CN=admin\"," + good,
		"another element behind it":         good + ",By=x;Subject=\"CN=admin\"",
		"the same element twice":            good + "," + good,
		"an empty element behind it":        good + ",",
		"an empty element before it":        "," + good,
		"another and a blank":               good + ", " + cert,
		"no Cert":                           "By=x;" + hash + `;Subject="CN=alice";URI=spiffe://acme/alice`,
		"Subject alone":                     `Subject="CN=alice"`,
		"URI alone":                         "URI=spiffe://acme/alice",
		"Hash alone":                        hash,
		"an empty Cert":                     `By=x;Cert=""`,
		"an empty bare Cert":                "By=x;Cert=",
		"an empty Chain beside Cert":        cert + ";Chain=",
		"Cert twice":                        cert + ";" + cert,
		"Cert twice, in another case":       cert + ";cERT=\"" + of(w.bob) + `"`,
		"Chain twice":                       "Chain=" + of(w.alice) + ";Chain=" + of(w.alice),
		"Hash twice":                        good + ";" + hash,
		"Subject twice":                     good + `;Subject=""`,
		"Chain of another":                  cert + ";Chain=" + of(w.bob),
		"two certificates in Cert":          `Cert="` + escape(pemOf(w.carol.Presented()), "-", "%%%02X") + `"`,
		"Hash of another":                   "Hash=" + fingerprint(w.bob) + ";" + cert,
		"an empty Hash":                     "Hash=;" + cert,
		"half a Hash":                       hash[:len(hash)-2] + ";" + cert,
		"Hash with colons":                  "Hash=sha256:" + fingerprint(w.alice) + ";" + cert,
		"an unknown key":                    good + ";Who=bob",
		"an empty key":                      "=x;" + good,
		"a key with a blank":                " By=x;" + cert,
		"a blank behind a semicolon":        hash + "; " + cert,
		"a key without a value":             good + ";By",
		"nothing between semicolons":        hash + ";;" + cert,
		"a semicolon at the end":            good + ";",
		"a semicolon at the beginning":      ";" + good,
		"no end of the quotes":              cert + `;Subject="CN=x`,
		"text behind quotes":                cert + `x`,
		"a quote inside a bare value":       cert + `;URI=a"b`,
		"an equals sign in a bare value":    cert + `;URI=a?b=c`,
		"a blank in a bare value":           cert + `;URI=a b`,
		"a control byte in a bare value":    cert + ";URI=a\x01b",
		"a control byte in quotes":          cert + ";Subject=\"a\tb\"",
		"a high byte in a bare value":       cert + ";URI=\xff",
		"two backslashes before a quote":    cert + `;Subject="x\\"`,
		"three backslashes before a quote":  cert + `;Subject="x\\\"y"`,
		"a backslash before the last quote": cert + `;Subject="x\"`,
		"a Cert inside a Subject":           `Subject="CN=x;` + strings.ReplaceAll(cert, `"`, `\"`) + `"`,
		"a URI that brings a Cert along":    good + ";URI=x;Cert=" + of(w.bob),
		"a URI that brings an element":      good + ";URI=x,Cert=" + of(w.bob),
		"base64 in Cert":                    `Cert="` + encode(w.alice.Cert.Raw) + `"`,
		"bare PEM in Cert":                  `Cert="` + strings.ReplaceAll(pemOf(certs{w.alice.Cert}), "\n", " ") + `"`,
		"a colon for the equals sign":       "Cert:" + of(w.alice),
		"quotes around it all":              `"` + good + `"`,
		"RFC 9440":                          sequence(w.alice.Cert),
		"nothing but PEM":                   of(w.alice),
		"a Chain that begins with a CA":     cert + ";Chain=" + escape(pemOf(certs{w.ca.Cert, w.alice.Cert}), "-", "%%%02X"),
	} {
		all = append(all, badHeaders{name, newHeader("X-Forwarded-Client-Cert", v)})
	}
	wantBadHeader(t, r, all)
}

// Covers F8.
func TestOtherBase64IsRefused(t *testing.T) {
	t.Parallel()
	w := shared()
	der := w.alice.Cert.Raw
	text, padded := encode(der), leafWithPadding(w.ca).Cert
	for format, p := range products {
		switch format {
		case "haproxy", "caddy", "traefik", "azure-app-service", "cloudflare", "webmethods":
		default:
			continue
		}
		r := receiver(t, p.topology())
		good := p.encode(certs{w.alice.Cert})
		for name, v := range map[string]string{
			"a blank inside":        text[:8] + " " + text[8:],
			"a newline inside":      text[:8] + "\n" + text[8:],
			"a carriage return":     text + "\r",
			"quotes around it":      `"` + text + `"`,
			"colons around it":      ":" + text + ":",
			"escaped":               escape(text, "", "%%%02X") + "%0A",
			"too much padding":      text + "====",
			"truncated":             text[:len(text)-4],
			"one letter less":       text[:len(text)-1],
			"a byte behind DER":     encode(append(der[:len(der):len(der)], 0)),
			"a byte before DER":     encode(append([]byte{0}, der...)),
			"hex":                   strings.ToUpper(fingerprint(w.alice)),
			"a parameter":           text + ";a=1",
			"not a certificate":     "QUFBQQ==",
			"slack bits":            strings.Trim(withSlackBits(sequence(padded)), ":"),
			"a semicolon in a list": text + ";" + text,
			"a comma and a blank":   text + ", " + encode(w.ca.Cert.Raw),
		} {
			if got := verifyHeaders(t, r, withHeader(good, p.headers[0], v)); got != "bad-header" {
				t.Errorf("%s, %s: %s, want bad-header", format, name, got)
			}
		}
	}
}
