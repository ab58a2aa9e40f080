package forwarded_test

import (
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
)

func parseTopology(tb testing.TB, format, header, verified, value string) forwarded.Topology {
	tb.Helper()
	t, err := forwarded.ParseTopology(format, header, verified, value)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// A client that names the gateway's headers in Connection can make a gateway drop one or all
// of them. A dropped header must not be read as "no certificate".
// Covers F5.
func TestMissingCertificateIsReportedNotGuessed(t *testing.T) {
	t.Parallel()
	w := shared()
	const cert, mark = "X-Ssl-Client-Cert", "X-Ssl-Client-Verify"
	escaped, der := escape(pemOf(certs{w.alice.Cert}), "-", "%%%02X"), encode(w.alice.Cert.Raw)
	none, bad := "no-certificate", "bad-header"
	for _, x := range []struct {
		name     string
		topology forwarded.Topology
		h        http.Header
		want     string
	}{
		{"rfc9440: no header", forwarded.RFC9440(), nil, none},
		{"rfc9440: an empty one", forwarded.RFC9440(), http.Header{"Client-Cert": {""}}, bad},
		{"rfc9440 with a marker: no header", parseTopology(t, "rfc9440", "", mark, "OK"), nil, bad},
		{"rfc9440 with a marker: the marker", parseTopology(t, "rfc9440", "", mark, "OK"), http.Header{mark: {"OK"}}, bad},
		{"rfc9440 with a marker: another", parseTopology(t, "rfc9440", "", mark, "OK"), http.Header{mark: {"NONE"}}, bad},
		{"rfc9440 with a marker: both", parseTopology(t, "rfc9440", "", mark, "OK"), http.Header{"Client-Cert": {sequence(w.alice.Cert)}, mark: {"OK"}}, "alice"},

		{"nginx, no verification: no header", forwarded.Nginx("", ""), nil, none},
		{"nginx, no verification: empty", forwarded.Nginx("", ""), http.Header{cert: {""}}, bad},
		{"nginx: NONE", forwarded.Nginx("", mark), http.Header{mark: {"NONE"}}, none},
		{"nginx: all dropped", forwarded.Nginx("", mark), nil, bad},
		{"nginx: the certificate dropped", forwarded.Nginx("", mark), http.Header{mark: {"SUCCESS"}}, bad},
		{"nginx: FAILED and dropped", forwarded.Nginx("", mark), http.Header{mark: {"FAILED:self-signed certificate"}}, bad},
		{"nginx: an empty marker", forwarded.Nginx("", mark), http.Header{mark: {""}}, bad},
		{"nginx: NONE in another case", forwarded.Nginx("", mark), http.Header{mark: {"none"}}, bad},
		{"nginx: NONE twice", forwarded.Nginx("", mark), http.Header{mark: {"NONE", "NONE"}}, bad},
		{"nginx: NONE beside a certificate", forwarded.Nginx("", mark), http.Header{cert: {escaped}, mark: {"NONE"}}, bad},
		{"nginx: the marker dropped", forwarded.Nginx("", mark), http.Header{cert: {escaped}}, bad},

		{"haproxy: unchanged", forwarded.HAProxy("", mark), http.Header{cert: {""}, cert + "-Chain": {""}, mark: {"0"}}, none},
		{"haproxy: all dropped", forwarded.HAProxy("", mark), nil, bad},
		{"haproxy: the certificate dropped", forwarded.HAProxy("", mark), http.Header{mark: {"0"}}, bad},
		{"haproxy: the marker dropped, none", forwarded.HAProxy("", mark), http.Header{cert: {""}}, bad},
		{"haproxy: the marker dropped", forwarded.HAProxy("", mark), http.Header{cert: {der}}, bad},
		{"haproxy: not verified, and empty", forwarded.HAProxy("", mark), http.Header{cert: {""}, mark: {"18"}}, bad},
		{"haproxy: a chain alone", forwarded.HAProxy("", mark), http.Header{cert: {""}, cert + "-Chain": {encode(w.ca.Cert.Raw)}, mark: {"0"}}, bad},
		{"haproxy, no verification: empty", forwarded.HAProxy("", ""), http.Header{cert: {""}}, none},
		{"haproxy, no verification: dropped", forwarded.HAProxy("", ""), nil, bad},

		{"apache: unchanged", forwarded.Apache("", mark), http.Header{cert: {""}, mark: {"NONE"}}, none},
		{"apache: (null)", forwarded.Apache("", mark), http.Header{cert: {"(null)"}, mark: {"NONE"}}, none},
		{"apache: NONE alone", forwarded.Apache("", mark), http.Header{mark: {"NONE"}}, none},
		{"apache: all dropped", forwarded.Apache("", mark), nil, bad},
		{"apache: (null) and SUCCESS", forwarded.Apache("", mark), http.Header{cert: {"(null)"}, mark: {"SUCCESS"}}, bad},
		{"apache: an empty marker", forwarded.Apache("", mark), http.Header{cert: {""}, mark: {""}}, bad},
		{"apache: GENEROUS", forwarded.Apache("", mark), http.Header{cert: {escaped}, mark: {"GENEROUS"}}, bad},
		{"apache, no verification: empty", forwarded.Apache("", ""), http.Header{cert: {""}}, none},
		{"apache, no verification: dropped", forwarded.Apache("", ""), nil, bad},
		{"nginx: (null) is Apache's", forwarded.Nginx("", mark), http.Header{cert: {"(null)"}, mark: {"NONE"}}, bad},

		{"caddy: empty", forwarded.Caddy(""), http.Header{"X-Client-Cert": {""}}, none},
		{"caddy: the placeholder", forwarded.Caddy(""), http.Header{"X-Client-Cert": {"{http.request.tls.client.certificate_der_base64}"}}, none},
		{"caddy: another placeholder", forwarded.Caddy(""), http.Header{"X-Client-Cert": {"{http.request.tls.client.certificate_pem}"}}, bad},
		{"nginx: that placeholder", forwarded.Nginx("", ""), http.Header{cert: {"{http.request.tls.client.certificate_der_base64}"}}, bad},
		{"caddy: dropped", forwarded.Caddy(""), nil, bad},

		{"google: true and empty", parseTopology(t, "google-cloud", "", "X-Status", ""), http.Header{"X-Client-Cert-Leaf": {""}, "X-Status": {"true"}}, bad},
		{"google: false and empty", parseTopology(t, "google-cloud", "", "X-Status", ""), http.Header{"X-Client-Cert-Leaf": {""}, "X-Status": {"false"}}, bad},
		{"google: present, not verified", parseTopology(t, "google-cloud", "", "X-Status", "true:true"), http.Header{"X-Client-Cert-Leaf": {""}, "X-Status": {"true:false"}}, bad},
		{"google: none", parseTopology(t, "google-cloud", "", "X-Status", "true:true"), http.Header{"X-Client-Cert-Leaf": {""}, "X-Status": {"false:false"}}, none},
		{"google: both", parseTopology(t, "google-cloud", "", "X-Status", "true:true"), http.Header{"X-Client-Cert-Leaf": {sequence(w.alice.Cert)}, "X-Status": {"true:true"}}, "alice"},
		{"google, no verification: empty", parseTopology(t, "google-cloud", "", "", ""), http.Header{"X-Client-Cert-Leaf": {""}}, bad},

		{"traefik", forwarded.Traefik(), nil, none},
		{"envoy", forwarded.Envoy(), nil, none},
		{"envoy: empty", forwarded.Envoy(), http.Header{"X-Forwarded-Client-Cert": {""}}, bad},
		{"aws-alb", parseTopology(t, "aws-alb", "", "", ""), nil, none},
		{"azure", parseTopology(t, "azure-app-service", "", "", ""), nil, none},
		{"cloudflare", parseTopology(t, "cloudflare", "", "", ""), nil, none},
		{"cloudflare: empty", parseTopology(t, "cloudflare", "", "", ""), http.Header{"Cf-Client-Cert-Der-Base64": {""}}, bad},
		{"cloudflare, verified", parseTopology(t, "cloudflare", "", "Cf-Cert-Verified", ""), http.Header{"Cf-Client-Cert-Der-Base64": {der}, "Cf-Cert-Verified": {"true"}}, "alice"},
		{"cloudflare, not verified", parseTopology(t, "cloudflare", "", "Cf-Cert-Verified", ""), http.Header{"Cf-Client-Cert-Der-Base64": {der}, "Cf-Cert-Verified": {"false"}}, bad},
		{"webmethods", forwarded.WebMethods(), nil, none},
	} {
		if got := verifyHeaders(t, receiver(t, x.topology), x.h); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// A gateway's positive verification result does not make a certificate trusted, and a negative
// one refuses a good certificate.
// Covers F12.
func TestVerificationResultOfTheGatewayOnlyRefuses(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, mark := range map[string]string{"nginx": "X-SSL-Client-Verify", "apache": "X-SSL-Client-Verify", "haproxy": "X-SSL-Client-Verify", "google-cloud": "X-Client-Cert-Chain-Verified"} {
		p := products[name]
		r := receiver(t, p.topology())
		if got := verifyHeaders(t, r, p.encode(certs{w.other.Cert})); got != "unknown-authority" {
			t.Errorf("%s, verified, alice of another authority: %s, want unknown-authority", name, got)
		}
		good := p.encode(certs{w.alice.Cert})
		if got := verifyHeaders(t, r, good); got != "alice" { // it is cached now
			t.Fatal(name, got)
		}
		for _, value := range []string{
			"", "FAILED", "FAILED:certificate has expired", "success", "SUCCESS ", "SUCCESS,SUCCESS", "NONE", "GENEROUS", "1", "00", "0,0", "+0", "18", "TRUE", "true,true", "yes", "false", "false:false",
		} {
			if got := verifyHeaders(t, r, withHeader(good, mark, value)); got != "bad-header" {
				t.Errorf("%s, verified %q: %s, want bad-header", name, value, got)
			}
		}
		for _, values := range [][]string{{good.Get(mark), good.Get(mark)}, {good.Get(mark), "FAILED"}} {
			h := good.Clone()
			h[http.CanonicalHeaderKey(mark)] = values
			if got := verifyHeaders(t, r, h); got != "bad-header" {
				t.Errorf("%s, verified %q: %s, want bad-header", name, values, got)
			}
		}
		if got := verifyHeaders(t, r, withoutHeader(good, mark)); got != "bad-header" {
			t.Errorf("%s without the verified header: %s, want bad-header", name, got)
		}
	}
}
