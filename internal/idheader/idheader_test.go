package idheader_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// Covers F19.
// Covers F17.
func TestIdentityHeaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Client-Cert", "Client-Cert-Chain", "Client-Cert-Anything", "X-Client-Cert", "X-Client-Certificate", "X-Arr-Clientcert", "X-Ssl-Client-Cert", "Ssl-Client-Verify",
		"X-Amzn-Mtls-Clientcert-Leaf", "Cf-Client-Cert-Der-Base64", "Cf-Cert-Verified", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "Tailscale-User-Login",
		"X-Remote-Groups", "X-Remote-Group", "X-Remote-User-Id", "X-Webauth-Name", "X-Webauth-User", "X-Auth-Email", "X-Auth-Username", "X-Auth-Groups", "X-User-Id", "X-User-Roles",
		"X-Consumer-Id", "X-Consumer-Username", "X-Consumer-Custom-Id", "X-Credential-Identifier", "X-Authenticated-Scope", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Name",
		"X-Ms-Token-Aad-Id-Token", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Data", "Cf-Access-Jwt-Assertion", "Cf-Access-Authenticated-User-Email", "X-Goog-Authenticated-User-Email",
		"X-Goog-Iap-Jwt-Assertion", "X-Pomerium-Claim-Email", "X-Authentik-Username", "X-Endpoint-Api-Userinfo",
		"Remote-User", "X-Remote-Extra-Scopes", "X-Client-Cert-" + strings.Repeat("long-", 40),
	} {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1)} {
			if !idheader.Is(spelling) {
				t.Errorf("%s is not an identity header", spelling)
			}
		}
	}
	for _, name := range []string{"", "C", "Client", "Client-Certificates-Wanted"[:9], "Xclient-Cert", "Remote", "X-Users", "X-User-Agent", "X-Remote-Addr", "X-Ms-Version", "X-Amzn-Trace-Id", "X-Goog-Api-Client", "Cf-Ray", "Cf-Connecting-Ip", "X-Auth", "X-Consumers", "X-Client-Ip", "Cookie", "Trailer", "Client Cert", "Accept", "-Client-Cert", "Client--Cert"} {
		if idheader.Is(name) {
			t.Errorf("%q is an identity header", name)
		}
	}
}

// Covers F3.
func TestSpellingsOfIdentityHeaders(t *testing.T) {
	t.Parallel()
	if got := idheader.Fold("X_Client.CERT-" + strings.Repeat("Q", 80)); got != "x-client-cert-"+strings.Repeat("q", 80) {
		t.Error(got)
	}
	for _, x := range []struct {
		a, b string
		same bool
	}{
		{"Client-Cert", "client_cert", true}, {"Client-Cert", "CLIENT.CERT", true}, {"", "", true},
		{"Client-Cert", "Client-Certs", false}, {"Client-Cert", "Client-Cerx", false}, {"Client-Cert", "Client Cert", false}, {"@", "`", false}, {"[", "{", false},
	} {
		if got := idheader.Same(x.a, x.b); got != x.same || got != (idheader.Fold(x.a) == idheader.Fold(x.b)) {
			t.Errorf("%q and %q: %t", x.a, x.b, got)
		}
	}
}

func BenchmarkIs(b *testing.B) {
	for _, name := range []string{"Accept-Encoding", "X-Request-Id", "X-Forwarded-For", "Client-Cert"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				idheader.Is(name)
			}
		})
	}
}
