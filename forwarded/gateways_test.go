package forwarded_test

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func verifiedBy(tb testing.TB, v *trust.Verifier, p *testpki.Pair) trust.Verified {
	tb.Helper()
	verified, err := v.Verify(tb.Context(), p.Presented())
	if err != nil {
		tb.Fatal(err)
	}
	return verified
}

// Covers F2.
func TestPinsAndNamesIdentifyGateways(t *testing.T) {
	t.Parallel()
	w := shared()
	pin := trust.FingerprintOf(w.gateway.Cert)
	leaf := func(change func(*x509.Certificate)) *testpki.Pair { return w.gatewayCA.Leaf(gatewayDNS, change) }
	noName := leaf(func(*x509.Certificate) {})
	twin := w.gatewayCA.LeafWithKey("gateway", w.gateway.Key, func(c *x509.Certificate) { c.SerialNumber = w.gateway.Cert.SerialNumber })
	for _, x := range []struct {
		name    string
		pins    []trust.Digest
		names   []string
		pair    *testpki.Pair
		gateway bool
	}{
		{"pinned", []trust.Digest{pin}, nil, w.gateway, true},
		{"pinned beside others", []trust.Digest{trust.FingerprintOf(w.otherClient.Cert), pin}, nil, w.gateway, true},
		{"another is pinned", []trust.Digest{trust.FingerprintOf(w.otherClient.Cert)}, nil, w.gateway, false},
		{"its key is pinned, not it", []trust.Digest{trust.SPKIOf(w.gateway.Cert)}, nil, w.gateway, false},
		{"its issuer is pinned", []trust.Digest{trust.FingerprintOf(w.gatewayCA.Cert)}, nil, w.gateway, false},
		{"of its subject, serial and key", []trust.Digest{pin}, nil, twin, false},
		{"a DNS name", nil, []string{gatewayDNS}, w.gateway, true},
		{"its other DNS name", nil, []string{"x.example", "edge.acme.example"}, w.gateway, true},
		{"a DNS name in another case", nil, []string{strings.ToUpper(gatewayDNS)}, w.gateway, true},
		{"a URI", nil, []string{gatewayURI}, w.gateway, true},
		{"a URI in another case", nil, []string{"spiffe://acme/Gateway"}, w.gateway, false},
		{"the beginning of a URI", nil, []string{"spiffe://acme/gate"}, w.gateway, false},
		{"a URI below", nil, []string{gatewayURI + "/x"}, w.gateway, false},
		{"a domain above", nil, []string{"acme.example"}, w.gateway, false},
		{"a name below", nil, []string{"x." + gatewayDNS}, w.gateway, false},
		{"a common name alone", nil, []string{gatewayDNS}, noName, false},
		{"another name of the same authority", nil, []string{gatewayDNS}, w.otherClient, false},
		{"a wildcard", nil, []string{gatewayDNS}, leaf(func(c *x509.Certificate) { c.DNSNames = []string{"*.acme.example"} }), false},
		{"the domain of a wildcard", nil, []string{"acme.example"}, leaf(func(c *x509.Certificate) { c.DNSNames = []string{"*.acme.example"} }), false},
		{"a URI in another case in the certificate", nil, []string{gatewayURI}, leaf(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/Gateway"}} }), false},
		{"an address of that domain", nil, []string{gatewayDNS}, leaf(func(c *x509.Certificate) { c.EmailAddresses = []string{gatewayDNS, "x@" + gatewayDNS} }), false},
		{"a DNS name that looks like the URI", nil, []string{gatewayURI}, leaf(func(c *x509.Certificate) { c.DNSNames = []string{gatewayURI} }), false},
		{"a URI that looks like the DNS name", nil, []string{gatewayDNS}, leaf(func(c *x509.Certificate) { c.URIs = []*url.URL{{Path: gatewayDNS}} }), false},
		{"a URI with an escape in it", nil, []string{gatewayURI}, leaf(func(c *x509.Certificate) {
			c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/gateway", RawPath: "/%67ateway"}}
		}), false},
	} {
		r := receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) { c.Gateways.Pins, c.Gateways.Names = x.pins, x.names })
		if got := r.IsGateway(verifiedBy(t, r.GatewayTrust(), x.pair)); got != x.gateway {
			t.Errorf("%s: %t, want %t", x.name, got, x.gateway)
		}
	}
}

// A certificate that another verifier verified does not identify a gateway.
// Covers F2.
func TestOnlyGatewayTrustMakesAGateway(t *testing.T) {
	t.Parallel()
	w := shared()
	user := w.ca.Leaf("bob", func(c *x509.Certificate) { c.DNSNames = []string{gatewayDNS} })
	r := receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) { c.Gateways.Pins = []trust.Digest{trust.FingerprintOf(user.Cert)} })
	again := verifier(trust.Config{Anchors: certs{w.gatewayCA.Cert}})
	for name, v := range map[string]trust.Verified{
		"no certificate":              {},
		"a user with the name":        verifiedBy(t, w.users, user),
		"the gateway, by another one": verifiedBy(t, again, w.gateway),
	} {
		if r.IsGateway(v) {
			t.Errorf("%s is a gateway", name)
		}
	}
	if r.GatewayTrust() != w.gateways || !r.IsGateway(verifiedBy(t, w.gateways, w.gateway)) {
		t.Error("the gateway is not recognized")
	}
}

// errorTexts returns the texts of configuration errors.
func errorTexts(err error) string {
	var out []string
	for _, m := range configerror.All(err) {
		out = append(out, m.What)
		if m.Hint == "" {
			out = append(out, "NO HINT")
		}
	}
	return strings.Join(out, "; ")
}

func TestNewReportsAllErrors(t *testing.T) {
	t.Parallel()
	w := shared()
	_, err := forwarded.New(forwarded.Config{Cache: -1})
	if got, want := errorTexts(err), "Config.Topology is empty; Config.Users is nil; Config.Cache is -1; no gateway is named; Gateways.Trust is nil"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, x := range []struct {
		name  string
		spoil func(*forwarded.Config)
		want  string
	}{
		{"an empty pin", func(c *forwarded.Config) { c.Gateways.Pins = make([]trust.Digest, 1) }, "Gateways.Pins[0] is empty"},
		{"invalid names", func(c *forwarded.Config) {
			c.Gateways.Names = []string{"*.acme.example", "", "127.0.0.1", "::1", "a b", "gateway.acme.example:443", "acme.example.", "http:x", "spiffe://acme/*", "a@b.example", "under_score", "-a.example"}
		}, `"*.acme.example" is neither a DNS name nor a URI; "" is neither a DNS name nor a URI; "127.0.0.1" is neither a DNS name nor a URI; "::1" is neither a DNS name nor a URI; "a b" is neither a DNS name nor a URI; ` +
			`"gateway.acme.example:443" is neither a DNS name nor a URI; "acme.example." is neither a DNS name nor a URI; "http:x" is neither a DNS name nor a URI; "spiffe://acme/*" is neither a DNS name nor a URI; ` +
			`"a@b.example" is neither a DNS name nor a URI; "under_score" is neither a DNS name nor a URI; "-a.example" is neither a DNS name nor a URI`},
		{"no gateway names", func(c *forwarded.Config) { c.Gateways.Names = nil }, "no gateway is named"},
		{"users verified as servers", func(c *forwarded.Config) {
			c.Users = verifier(trust.Config{Anchors: certs{w.ca.Cert}, Usage: trust.UsageServer})
		}, "Config.Users is for serverAuth"},
		{"one trust for both", func(c *forwarded.Config) { c.Gateways.Trust = c.Users }, "gateways are named under an authority that also issues for users"},
		{"one anchor in both", func(c *forwarded.Config) {
			c.Gateways.Trust = verifier(trust.Config{Anchors: certs{w.gatewayCA.Cert, w.ca.Cert}})
		}, "gateways are named under an authority that also issues for users"},
		{"a fingerprint does not correct a name", func(c *forwarded.Config) {
			c.Gateways.Trust, c.Gateways.Pins = c.Users, []trust.Digest{trust.FingerprintOf(w.gateway.Cert)}
		}, "gateways are named under an authority that also issues for users"},
		{"pins alone", func(c *forwarded.Config) {
			c.Gateways = forwarded.Gateways{Trust: c.Users, Pins: []trust.Digest{trust.FingerprintOf(w.gateway.Cert)}}
		}, ""},
		{"a header with a meaning in HTTP", func(c *forwarded.Config) { c.Topology = forwarded.Caddy("connection") }, "the header Connection has another meaning"},
		{"no header", func(c *forwarded.Config) { c.Topology = forwarded.Nginx("a b", "c\nd") }, `"a b" is not a header name; "c\nd" is not a header name`},
		{"a header with another spelling", func(c *forwarded.Config) { c.Topology = forwarded.Nginx("x_client_cert", "x.y") }, `"X_client_cert" is not a header name; "X.y" is not a header name`},
		{"one header for both", func(c *forwarded.Config) { c.Topology = forwarded.Nginx("X-A", "x-a") }, "the header X-A cannot hold both a certificate and the verification result"},
		{"one header for chain and mark", func(c *forwarded.Config) { c.Topology = forwarded.HAProxy("X-A", "X-A-Chain") }, "the header X-A-Chain cannot hold both a certificate and the verification result"},
		{"another product's", func(c *forwarded.Config) { c.Topology = forwarded.Nginx("client-cert", "") }, "the header Client-Cert belongs to format rfc9440, not nginx"},
	} {
		c := forwarded.Config{Topology: forwarded.RFC9440(), Users: w.users, Gateways: forwarded.Gateways{Names: []string{gatewayDNS}, Trust: w.gateways}}
		x.spoil(&c)
		r, err := forwarded.New(c)
		if got := errorTexts(err); got != x.want {
			t.Errorf("%s: %s\nwant %s", x.name, got, x.want)
		}
		if (r == nil) != (x.want != "") {
			t.Errorf("%s: a receiver with an error, or neither", x.name)
		}
	}
}

func TestParseTopology(t *testing.T) {
	t.Parallel()
	for _, name := range forwarded.Formats() {
		topology, err := forwarded.ParseTopology(name, "", "", "")
		if err != nil {
			t.Errorf("%s: the gateways: %v", name, err)
		}
		if got := receiver(t, topology).Headers()[0]; !strings.EqualFold(got, products[name].headers[0]) {
			t.Errorf("%s reads %s", name, got)
		}
	}
	for _, x := range []struct{ format, header, verified, value, want, hint string }{
		{"nginx", "X-Cert", "X-Verify", "", "", ""},
		{"rfc9440", "X-Leaf", "X-Verify", "0", "", ""},
		{"haproxy", "", "X-Verify", "1", "", ""},
		{"cloudflare", "", "Cf-Cert-Verified", "", "", ""},
		{"aws-alb", "X-Amzn-Mtls-Clientcert", "", "", "", ""},
		{"aws-alb", "x-amzn-mtls-clientcert", "", "", "", ""},
		{"", "", "", "", `"" is not a format`, "one of rfc9440, nginx, haproxy, apache, caddy, traefik, envoy, aws-alb, azure-app-service, google-cloud, cloudflare, webmethods"},
		{"NGINX", "", "", "", `"NGINX" is not a format`, "one of rfc9440, nginx"},
		{"xfcc\x1b", "", "", "", `"xfcc\x1b" is not a format`, "one of rfc9440, nginx"},
		{"nginx", "Client-Cert", "", "", "the header Client-Cert belongs to format rfc9440, not nginx", "format: rfc9440"},
		{"caddy", "x-forwarded-client-cert", "", "", "the header X-Forwarded-Client-Cert belongs to format envoy, not caddy", "format: envoy"},
		{"nginx", "X-Amzn-Mtls-Clientcert", "", "", "the header X-Amzn-Mtls-Clientcert belongs to format aws-alb, not nginx", "format: aws-alb"},
		{"envoy", "X-ARR-ClientCert", "", "", "the header X-Arr-Clientcert belongs to format azure-app-service, not envoy", "format: azure-app-service"},
		{"nginx", "", "", "SUCCESS", `the value "SUCCESS" has no header`, "verified: {header:"},
		{"traefik", "", "X-Verify", "", "format traefik has no header for the gateway's verification result", "remove verified"},
		{"envoy", "", "X-Verify", "SUCCESS", "format envoy has no header for the gateway's verification result", "remove verified"},
		{"rfc9440", "", "X-Verify", "", "format rfc9440 has no default value for a verified certificate", "with the value that your gateway sends"},
		{"nginx", "", "X-Verify", "NONE", `"NONE" is the value for a request without a certificate`, "value: SUCCESS"},
		{"nginx", "", "X-Verify", "a\nb", `"a\nb" is not a header value`, "the exact value that the gateway sends"},
		{"nginx", "", "X-Verify", " SUCCESS", `" SUCCESS" is not a header value`, "the exact value"},
		{"traefik", "Te", "Te", "NONE", "the header Te has another meaning; the header Te has another meaning; the header Te cannot hold both a certificate and the verification result; " +
			"format traefik has no header for the gateway's verification result", "choose a header that only the gateway sets"},
	} {
		topology, err := forwarded.ParseTopology(x.format, x.header, x.verified, x.value)
		if got := errorTexts(err); got != x.want {
			t.Errorf("%q: %s\nwant %s", x, got, x.want)
			continue
		}
		if err != nil {
			if hint := configerror.All(err)[0].Hint; !strings.HasPrefix(hint, x.hint) && !strings.Contains(hint, x.hint) {
				t.Errorf("%q: the hint is %s", x, hint)
			}
			if fmt.Sprint(topology) != fmt.Sprint(forwarded.Topology{}) {
				t.Errorf("%q: a topology with an error", x)
			}
		}
	}
}

// The validity of a cached certificate is checked at each request.
// Covers F9.
func TestCachedCertificatesExpire(t *testing.T) {
	t.Parallel()
	w := shared()
	now := time.Now()
	r := receiver(t, forwarded.RFC9440(), func(c *forwarded.Config) {
		c.Users = verifier(trust.Config{Anchors: certs{w.ca.Cert}, Now: func() time.Time { return now }})
	})
	h := newHeader("Client-Cert", sequence(w.alice.Cert))
	for _, x := range []struct {
		after time.Duration
		want  string
	}{{0, "alice"}, {time.Minute, "alice"}, {48 * time.Hour, "expired"}, {time.Minute, "alice"}, {-48 * time.Hour, "not-yet-valid"}} {
		now = time.Now().Add(x.after)
		if got := verifyHeaders(t, r, h); got != x.want {
			t.Errorf("after %s: %s, want %s", x.after, got, x.want)
		}
	}
}
