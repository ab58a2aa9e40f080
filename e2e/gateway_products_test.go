//go:build linux

package e2e

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Both legs use mTLS. A mapped user is identified through the gateway, and every other client
// gets the answer that it would get without a gateway.
// Covers F9, F14.
func TestRealGatewaysForwardCertificates(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product)
		expired := p.ca.Leaf("alice", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
		carol := "403 unknown-authority"
		if p.issuers {
			carol = "200 carol"
		}
		alice, bob, anonymous := p.callers(p.alice), p.callers(p.bob), p.callers(nil)
		all := func(when string, holder []caller, want string) {
			t.Helper()
			for _, a := range holder {
				requests := 2 // the second reuses the connection or the session
				if strings.HasPrefix(a.name, "curl") {
					requests = 1
				}
				for range requests {
					if got := a.get(); got != want {
						t.Errorf("%s: %s: got %s, want %s", when, a.name, got, want)
					}
				}
			}
		}
		all("alice", alice, "200 alice")
		all("bob", bob, "200 bob")
		all("anonymous", anonymous, "200 Default")
		all("unmapped", p.callers(p.ca.Leaf("stranger")), "403 unmapped")
		all("issued by an intermediate", p.callers(p.carol), carol)
		for name, holder := range map[string]*testpki.Pair{"untrusted": p.other.Leaf("alice"), "expired": expired} {
			for _, a := range p.callers(holder) {
				if got := a.get(); strings.HasPrefix(got, "200") {
					t.Errorf("%s: %s: got %s from a gateway that verifies", name, a.name, got)
				}
			}
		}

		p.sub(config, "strict: false", "strict: true")
		p.reload()
		all("strict", anonymous, "403 no-certificate")
		all("strict, alice", alice, "200 alice")

		p.put("ca.crl", p.crl(2, p.alice))
		p.reload()
		all("revoked", alice, "403 revoked")
		all("not revoked", bob, "200 bob")

		gateway, bobs := trust.FingerprintOf(p.gateway.Cert).String(), trust.FingerprintOf(p.bob.Cert).String()
		defer func() {
			if t.Failed() {
				t.Log(p.live.log.text())
			}
		}()
		for what, fields := range map[string][]string{
			"bob":       {"outcome", "allow", "user", "bob", "fingerprint", bobs},
			"anonymous": {"outcome", "refuse", "reason", "no-certificate"},
			"alice":     {"outcome", "refuse", "reason", "revoked"},
		} {
			fields = append(fields, "event", "decision", "gateway", gateway)
			testkit.Eventually(t, "a line about "+what+" and the gateway", func() bool { return len(p.live.log.find(fields...)) > 0 })
		}
	})
}

// A client's own headers with the gateway's names change nothing, in any spelling: the client
// stays the user of its certificate, or is refused.
// Covers F1, F3, F4, F13, F15.
func TestRealGatewaysReplaceForgedHeaders(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product, func(p *realGateway) { p.handler = http.HandlerFunc(reportLeaks) })
		page := p.url + "/whoami"
		underscored := strings.ReplaceAll(p.cert, "-", "_")
		forged := map[string][]string{
			"the header":            {p.cert, p.forward(p.bob)},
			"in lower case":         {strings.ToLower(p.cert), p.forward(p.bob)},
			"twice":                 {p.cert, p.forward(p.bob), p.cert, p.forward(p.bob)},
			"in two spellings":      {p.cert, p.forward(p.bob), strings.ToLower(p.cert), p.forward(p.bob)},
			"empty":                 {p.cert, ""},
			"underscores":           {underscored, p.forward(p.bob)},
			"dots":                  {strings.ReplaceAll(p.cert, "-", "."), p.forward(p.bob)},
			"one underscore":        {strings.Replace(p.cert, "-", "_", 1), p.forward(p.bob)},
			"its issuers":           {p.cert + "-Chain", p.forward(p.ca)},
			"of RFC 9440":           {"Client-Cert", ":" + encoded(p.bob) + ":"},
			"as a trailer":          {"Trailer", p.cert},
			"another's, of another": {"X-Forwarded-Client-Cert", `Cert="` + escaped(p.bob) + `"`},
		}
		if p.verified != "" {
			forged["with the verified value"] = []string{p.cert, p.forward(p.bob), p.verified, p.yes}
			forged["with underscores and the verified value"] = []string{underscored, p.forward(p.bob), strings.ReplaceAll(p.verified, "-", "_"), p.yes}
			forged["the value for no certificate"] = []string{p.verified, "NONE"}
			forged["the value for no certificate, underscores"] = []string{strings.ReplaceAll(p.verified, "-", "_"), "NONE"}
		}
		for _, holder := range []struct {
			name string
			pair *testpki.Pair
		}{{"alice", p.alice}, {"Default", nil}} {
			h1, h2 := p.client(holder.pair), p.client(holder.pair, testkit.HTTP2)
			byCurl := p.curlWithHeaders(holder.pair, forged)
			for name, pairs := range forged {
				spelled := strings.ContainsAny(strings.Join([]string{pairs[0], pairs[len(pairs)-2]}, ""), "_.")
				ways := []caller{
					{"HTTP/1.1", func() string { return get(withHeaders(h1, pairs...), page) }},
					{"curl", func() string { return byCurl[name] }},
				}
				if p.h2 {
					ways = append(ways, caller{"HTTP/2", func() string { return get(withHeaders(h2, pairs...), page) }})
				}
				if pairs[0] == "Trailer" {
					ways = []caller{{"a trailer", func() string { return getWithTrailer(h1, page, p.cert, p.forward(p.bob)) }}}
				}
				for _, way := range ways {
					want := "200 " + holder.name
					got := way.get()
					if spelled && p.spelled != "200 alice" {
						want = p.spelled
					}
					if pairs[0] == "Trailer" && got == "400 bad-header" {
						continue // a gateway may forward the Trailer header
					}
					if got != want {
						t.Errorf("%s, by %s: %s: got %s, want %s", holder.name, way.name, name, got, want)
					}
				}
			}
		}
	})
}

// A client names the gateway's headers in Connection, and the gateway may drop headers that it
// has just set. This makes no client anonymous or another user.
// Covers F5.
func TestRealGatewaysWithHeadersNamedInConnection(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product)
		tokens := []string{p.cert, strings.ToLower(p.cert), strings.ToUpper(p.cert), "close, " + p.cert, p.cert + ", keep-alive", "," + p.cert + ",", p.cert + "\t", p.cert + "-Chain"}
		if p.verified != "" {
			both := p.cert + ", " + p.verified
			tokens = append(tokens, p.verified, strings.ToUpper(p.verified), both, strings.ToLower(both), p.cert+", "+p.cert+"-Chain, "+p.verified)
		}
		own := map[string][]string{
			"": nil, "and forwards bob": {p.cert, p.forward(p.bob)}, "and forwards no certificate": {p.cert, ""},
			"and bob in another encoding": {strings.ReplaceAll(p.cert, "-", "_"), p.forward(p.bob)},
			"and sets NONE":               {"X-SSL-Client-Verify", "NONE"},
		}
		dropped := false // the gateway dropped its own header
		for _, holder := range []struct {
			name string
			pair *testpki.Pair
		}{{"alice", p.alice}, {"Default", nil}} {
			c := p.client(holder.pair)
			named := map[string][]string{}
			for _, token := range tokens {
				named[token] = []string{"Connection", token}
			}
			byCurl := p.curlWithHeaders(holder.pair, named)
			for _, token := range tokens {
				for name, pairs := range own {
					pairs = append([]string{"Connection", token}, pairs...)
					answers := []string{get(withHeaders(c, pairs...), p.url+"/whoami")}
					if name == "" {
						answers = append(answers, byCurl[token])
					}
					for _, got := range answers {
						if got != "200 "+holder.name && got != "400 bad-header" {
							t.Errorf("%s, Connection: %s %s: got %s", holder.name, token, name, got)
						}
						dropped = dropped || name == "" && holder.pair != nil && got == "400 bad-header"
					}
				}
			}
		}
		if dropped != p.drops {
			t.Errorf("the gateway drops its own headers: %t, want %t as in docs/gateways.md", dropped, p.drops)
		}
	})
}

// A gateway whose certificate is not a gateway's is refused, whatever certificate it forwards.
// Covers F2.
func TestRealGatewayWithAWrongCertificateIsRefused(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product, func(p *realGateway) { p.texts = noRetries })
		if got := get(p.client(p.alice), p.url+"/whoami"); got != "200 alice" {
			t.Fatalf("before: %s, want 200 alice", got)
		}
		right := p.gateway
		for _, row := range []struct {
			name string
			cert *testpki.Pair
			want string // "": the gateway's own answer to a failed connection
		}{
			{"another name", p.gatewayCA.Leaf("gateway", named("other.acme.example")), "403 untrusted-gateway"},
			{"no name", p.gatewayCA.Leaf(gatewayName), "403 untrusted-gateway"},
			{"a user's", p.alice, ""},
			{"a user's authority, the right name", p.ca.Leaf("gateway", named(gatewayName)), ""},
			{"an untrusted authority", p.other.Leaf("gateway", named(gatewayName)), ""},
			{"expired", p.gatewayCA.Leaf("gateway", named(gatewayName), func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), ""},
		} {
			p.gateway = row.cert
			p.url = p.start("", "")
			for name, holder := range map[string]*testpki.Pair{"alice": p.alice, "anonymous": nil} {
				got := get(p.client(holder), p.url+"/whoami")
				if row.want == "" && !strings.HasPrefix(got, "50") || row.want != "" && got != row.want {
					t.Errorf("%s: %s got %s, want %q", row.name, name, got, row.want)
				}
			}
		}

		p.gateway = right
		p.url = p.start("", "")
		alice := p.client(p.alice)
		if got := get(alice, p.url+"/whoami"); got != "200 alice" {
			t.Fatalf("with the right certificate again: %s, want 200 alice", got)
		}
		p.put("gateway-ca.crl", crlPEM(p.gatewayCA.CRL(2, serials(right))))
		p.reload()
		for range 2 {
			if got := get(alice, p.url+"/whoami"); got != "403 revoked" && !strings.HasPrefix(got, "50") {
				t.Errorf("a revoked gateway: got %s", got)
			}
		}
	})
}

// A gateway that accepts unverified certificates forwards them, with or without its
// verification result. The guard verifies them itself.
// Covers F9, F12.
func TestCertificatesOfAGatewayThatDoesNotVerifyAreVerified(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product)
		p.url = p.start(p.lax[0], p.lax[1])
		self := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
			Subject: pkix.Name{CommonName: "alice"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		for name, holder := range map[string]*testpki.Pair{
			"untrusted": p.other.Leaf("alice"), "self-signed": self,
		} {
			if got := p.curl(holder); got != p.unverified {
				t.Errorf("%s: got %s, want %s", name, got, p.unverified)
			}
		}
		if got := p.curl(p.alice); got != "200 alice" {
			t.Errorf("alice: got %s, want 200 alice", got)
		}
		if got := p.curl(nil); got != "200 Default" {
			t.Errorf("no certificate: got %s", got)
		}
	})
}

// Callers whose requests share the gateway's connections are not mixed.
// Covers F16.
func TestCallersOnOneConnectionOfARealGatewayAreNotMixed(t *testing.T) {
	t.Parallel()
	forEachProduct(t, func(t *testing.T, product *product) {
		p := behindReal(t, product)
		callers := map[string]*testpki.Pair{"alice": p.alice, "bob": p.bob, "Default": nil}
		var wg sync.WaitGroup
		for name, holder := range callers {
			for i := range 4 {
				options := []func(*http.Transport){}
				if p.h2 && i%2 == 0 {
					options = append(options, testkit.HTTP2)
				}
				c := p.client(holder, options...)
				wg.Go(func() {
					for range 25 {
						if got := get(c, p.url+"/whoami"); got != "200 "+name {
							t.Errorf("%s is %s, want %s", name, got, "200 "+name)
							return
						}
					}
				})
			}
		}
		wg.Wait()
	})
}
