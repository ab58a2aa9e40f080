package forwarded_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

type certs = []*x509.Certificate

// fixtures are shared by the tests because generating certificates is slow.
type fixtures struct {
	ca, gatewayCA, serverCA        *testpki.Pair
	alice, bob, carol, dave, other *testpki.Pair // dave is two authorities below the anchor, other is untrusted
	gateway, otherClient           *testpki.Pair // both under the gateways' authority
	server                         *testpki.Pair
	users, gateways                *trust.Verifier
}

const (
	gatewayDNS = "gateway.acme.example"
	gatewayURI = "spiffe://acme/gateway"
)

var shared = sync.OnceValue(func() *fixtures {
	w := &fixtures{ca: testpki.NewCA("Client CA"), gatewayCA: testpki.NewCA("Gateway CA"), serverCA: testpki.NewCA("Server CA")}
	sub := w.ca.SubCA("Sub CA")
	w.alice, w.bob, w.carol, w.dave = w.ca.Leaf("alice"), w.ca.Leaf("bob"), sub.Leaf("carol"), sub.SubCA("Sub Sub CA").Leaf("dave")
	w.other = testpki.NewCA("Other CA").Leaf("alice")
	w.gateway = w.gatewayCA.Leaf("gateway", func(c *x509.Certificate) {
		c.DNSNames, c.URIs = []string{"edge.acme.example", gatewayDNS}, []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/gateway"}}
	})
	w.otherClient = w.gatewayCA.Leaf("other", func(c *x509.Certificate) { c.DNSNames = []string{"other.acme.example"} })
	w.server = w.serverCA.Server()
	w.users, w.gateways = verifier(trust.Config{Anchors: certs{w.ca.Cert}}), verifier(trust.Config{Anchors: certs{w.gatewayCA.Cert}})
	return w
})

func verifier(c trust.Config) *trust.Verifier {
	v, err := trust.New(c)
	if err != nil {
		panic(err)
	}
	return v
}

// receiver returns a Receiver of a topology with the shared users; the options change it.
func receiver(tb testing.TB, topology forwarded.Topology, options ...func(*forwarded.Config)) *forwarded.Receiver {
	tb.Helper()
	c := forwarded.Config{
		Topology: topology, Users: shared().users,
		Gateways: forwarded.Gateways{Names: []string{gatewayDNS}, Trust: shared().gateways},
	}
	for _, o := range options {
		o(&c)
	}
	r, err := forwarded.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// verifyHeaders verifies headers and returns the name of the leaf or the reason of the
// refusal.
func verifyHeaders(tb testing.TB, r *forwarded.Receiver, h http.Header) string {
	tb.Helper()
	verified, err := r.Verify(tb.Context(), r.Read(h, nil))
	if err != nil {
		return string(reasonOf(tb, err))
	}
	return verified.Leaf().Subject.CommonName
}

func reasonOf(tb testing.TB, err error) reason.Reason {
	tb.Helper()
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok || !refusal.Reason.Known() {
		tb.Fatalf("the error is not a refusal: %v", err)
	}
	return refusal.Reason
}

// product is a second implementation of a product's headers, written from its manual.
type product struct {
	topology     func() forwarded.Topology
	headers      []string // the names of its headers, the certificate's first
	encode       func(certs) http.Header
	noCert       http.Header // its headers without a certificate
	sendsIssuers bool        // it forwards the issuers
}

var products = map[string]product{
	"rfc9440": {
		topology: forwarded.RFC9440, headers: []string{"Client-Cert", "Client-Cert-Chain"}, sendsIssuers: true,
		encode: func(c certs) http.Header {
			return newHeader("Client-Cert", sequence(c[0]), "Client-Cert-Chain", sequences(c[1:]))
		},
	},
	"nginx": {
		topology: func() forwarded.Topology { return forwarded.Nginx("", "X-SSL-Client-Verify") }, headers: []string{"X-SSL-Client-Cert", "X-SSL-Client-Verify"},
		encode: func(c certs) http.Header {
			return newHeader("X-SSL-Client-Cert", escape(pemOf(c[:1]), "-_.~", "%%%02X"), "X-SSL-Client-Verify", "SUCCESS")
		},
		noCert: newHeader("X-SSL-Client-Verify", "NONE"),
	},
	"haproxy": {
		topology: func() forwarded.Topology { return forwarded.HAProxy("", "X-SSL-Client-Verify") }, sendsIssuers: true,
		headers: []string{"X-SSL-Client-Cert", "X-SSL-Client-Cert-Chain", "X-SSL-Client-Verify"},
		encode: func(c certs) http.Header {
			return withHeader(newHeader("X-SSL-Client-Cert", encode(c[0].Raw), "X-SSL-Client-Verify", "0"), "X-SSL-Client-Cert-Chain", encode(joined(c[1:])))
		},
		noCert: http.Header{"X-Ssl-Client-Cert": {""}, "X-Ssl-Client-Cert-Chain": {""}, "X-Ssl-Client-Verify": {"0"}},
	},
	"apache": {
		topology: func() forwarded.Topology { return forwarded.Apache("", "X-SSL-Client-Verify") }, headers: []string{"X-SSL-Client-Cert", "X-SSL-Client-Verify"},
		encode: func(c certs) http.Header {
			return newHeader("X-SSL-Client-Cert", escape(pemOf(c[:1]), "$-_.+!*'(),:@&=/~", "%%%02x"), "X-SSL-Client-Verify", "SUCCESS")
		},
		noCert: http.Header{"X-Ssl-Client-Cert": {""}, "X-Ssl-Client-Verify": {"NONE"}},
	},
	"caddy": {
		topology: func() forwarded.Topology { return forwarded.Caddy("") }, headers: []string{"X-Client-Cert"},
		encode: func(c certs) http.Header { return newHeader("X-Client-Cert", encode(c[0].Raw)) },
		noCert: http.Header{"X-Client-Cert": {""}},
	},
	"traefik": {
		topology: forwarded.Traefik, headers: []string{"X-Forwarded-Tls-Client-Cert"}, sendsIssuers: true,
		encode: func(c certs) http.Header {
			var texts []string
			for _, one := range c {
				texts = append(texts, encode(one.Raw))
			}
			return newHeader("X-Forwarded-Tls-Client-Cert", strings.Join(texts, ","))
		},
	},
	"envoy": {
		topology: forwarded.Envoy, headers: []string{"X-Forwarded-Client-Cert"}, sendsIssuers: true,
		encode: func(c certs) http.Header {
			return newHeader("X-Forwarded-Client-Cert", fmt.Sprintf(`By=spiffe://acme/gateway;Hash=%s;Cert="%s";Chain="%s";Subject="CN=x\, y,OU=\"z\"";URI=spiffe://acme/x;DNS=x.example;DNS=y.example`,
				trust.FingerprintOf(c[0]), escape(pemOf(c[:1]), "-_.~", "%%%02X"), escape(pemOf(c), "-_.~", "%%%02X")))
		},
	},
	"aws-alb": {
		topology: parsed("aws-alb", ""), headers: []string{"X-Amzn-Mtls-Clientcert-Leaf"},
		encode: func(c certs) http.Header {
			return newHeader("X-Amzn-Mtls-Clientcert-Leaf", escape(pemOf(c[:1]), "-_.~+=/", "%%%02X"))
		},
	},
	"azure-app-service": {
		topology: parsed("azure-app-service", ""), headers: []string{"X-ARR-ClientCert"},
		encode: func(c certs) http.Header { return newHeader("X-ARR-ClientCert", encode(c[0].Raw)) },
	},
	"google-cloud": {
		topology: parsed("google-cloud", "X-Client-Cert-Chain-Verified"), sendsIssuers: true,
		headers: []string{"X-Client-Cert-Leaf", "X-Client-Cert-Chain", "X-Client-Cert-Chain-Verified"},
		encode: func(c certs) http.Header {
			return withHeader(newHeader("X-Client-Cert-Leaf", sequence(c[0]), "X-Client-Cert-Chain-Verified", "true"), "X-Client-Cert-Chain", sequences(c[1:]))
		},
		noCert: http.Header{"X-Client-Cert-Leaf": {""}, "X-Client-Cert-Chain": {""}, "X-Client-Cert-Chain-Verified": {"false:false"}},
	},
	"cloudflare": {
		topology: parsed("cloudflare", ""), headers: []string{"Cf-Client-Cert-Der-Base64"},
		encode: func(c certs) http.Header { return newHeader("Cf-Client-Cert-Der-Base64", encode(c[0].Raw)) },
	},
	"webmethods": {
		topology: forwarded.WebMethods, headers: []string{"X-Client-Cert"}, sendsIssuers: true,
		encode: func(c certs) http.Header { return newHeader("X-Client-Cert", encode([]byte(pemOf(c)))) },
	},
}

// parsed returns the topology of a format without a constructor.
func parsed(format, verified string) func() forwarded.Topology {
	return func() forwarded.Topology {
		t, err := forwarded.ParseTopology(format, "", verified, "")
		if err != nil {
			panic(err)
		}
		return t
	}
}

// newHeader returns the headers of name and value pairs, without empty values.
func newHeader(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}

func withHeader(h http.Header, name, value string) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	return h
}

func withoutHeader(h http.Header, name string) http.Header {
	h = h.Clone()
	h.Del(name)
	return h
}

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func sequence(c *x509.Certificate) string { return ":" + encode(c.Raw) + ":" }

func sequences(c certs) string {
	var out []string
	for _, one := range c {
		out = append(out, sequence(one))
	}
	return strings.Join(out, ", ")
}

func joined(c certs) []byte {
	var out []byte
	for _, one := range c {
		out = append(out, one.Raw...)
	}
	return out
}

func pemOf(c certs) string {
	var b strings.Builder
	for _, one := range c {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})
	}
	return b.String()
}

// escape percent-encodes everything but letters, digits and safe.
func escape(text, safe, as string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, as, c)
		}
	}
	return b.String()
}

type certificate = x509.Certificate

func fingerprint(p *testpki.Pair) string { return trust.FingerprintOf(p.Cert).String() }
