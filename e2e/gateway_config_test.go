package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

const somePin = "9F:22:45:B5:6F:74:31:C7:25:0D:26:3B:24:AC:6E:70:BE:22:08:8E:EF:F5:D3:5A:5E:6F:57:5D:0B:15:F8:0B"

// Lines of behindConfig: 9 forwarded, 10 format, 11 verified, 12 gateway, 13 trust.
var forwardedErrorRows = []configErrorRow{
	{"unknown key", yaml(nginxFormat, "fromat: nginx"), config, 10, `unknown key "fromat"`},
	{"unknown key of verified", yaml("value: SUCCESS", "word: SUCCESS"), config, 11, `unknown key "word"`},
	{"unknown key of the gateway", yaml("names: [", "name: ["), config, 12, `unknown key "name"`},
	{"unknown key of the users' trust", yaml(usersLine, "trust: {anchor: [ca.pem]}"), config, 13, `unknown key "anchor"`},
	{"a key twice", yaml(nginxFormat, nginxFormat+"\n      format: apache"), config, 11, "twice"},
	{"forwarded is a string", yaml(forwardedLines, "    forwarded: nginx\n"), config, 9, "forwarded"},
	{"forwarded is a list", yaml(forwardedLines, "    forwarded: [nginx]\n"), config, 9, "forwarded"},
	{"forwarded is empty", yaml(forwardedLines, "    forwarded: {}\n"), config, 9, "format"},
	{"forwarded is null", yaml(forwardedLines, "    forwarded:\n"), config, 9, "forwarded"},
	{"no format", yaml(nginxFormat+"\n      ", ""), config, 10, `"" is not a format`},
	{"an unknown format", yaml(nginxFormat, "format: squid"), config, 10, `"squid" is not a format`},
	{"a format in capitals", yaml(nginxFormat, "format: Nginx"), config, 10, `"Nginx" is not a format`},
	{"format is a list", yaml(nginxFormat, "format: [nginx]"), config, 10, "format"},
	{"a header of another format", yaml(nginxFormat, nginxFormat+"\n      header: Client-Cert"), config, 10, "rfc9440"},
	{"a header with an underscore", yaml(nginxFormat, nginxFormat+"\n      header: X_SSL_Client_Cert"), config, 10, "is not a header name"},
	{"a header with a blank", yaml(nginxFormat, nginxFormat+"\n      header: X SSL"), config, 10, "is not a header name"},
	{"a header with a meaning in HTTP", yaml(nginxFormat, nginxFormat+"\n      header: host"), config, 10, "has another meaning"},
	{"one header for both", yaml("header: X-SSL-Client-Verify", "header: x-ssl-client-cert"), config, 10, "cannot hold both"},
	{"verified without a header", yaml(verifiedLine, "verified: {value: SUCCESS}"), config, 10, "has no header"},
	{"verified by the value for no certificate", yaml("value: SUCCESS", "value: NONE"), config, 10, "without a certificate"},
	{"verified in a format without it", yaml(nginxFormat, "format: caddy"), config, 10, "has no header for the gateway"},
	{"verified without a default value", yaml(nginxFormat+"\n      "+verifiedLine, "format: rfc9440\n      verified: {header: X-Verified}"), config, 10, "no default value"},
	{"no trust", yaml("      "+usersLine+"\n", ""), config, 10, "forwarded has no trust"},
	{"trust without anchors", yaml(usersLine, "trust: {}"), config, 13, "no anchors"},
	{"hard without CRLs and OCSP", yaml(usersLine, "trust: {anchors: [ca.pem], revocation: hard}"), config, 13, "no crls"},
	{"a missing anchors file", yaml(usersLine, "trust: {anchors: [lost.pem]}"), config, 13, "lost.pem"},
	{"a broken file of the users", whole("ca.crl", "nonsense"), "ca.crl", 1, ""},
	{"a CRL of the users with a critical extension", func(s *site) { s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, critical))) }, "ca.crl", 1, "critical"},
	{"a broken file of the gateways", whole("gateway-ca.pem", "nonsense"), "gateway-ca.pem", 1, ""},
	{"a broken CRL of the gateways", whole("gateway-ca.crl", "nonsense"), "gateway-ca.crl", 1, ""},
	{"client_ip of the header Forwarded", yaml(nginxFormat, nginxFormat+"\n      client_ip: Forwarded"), config, 10, "the syntax of the header Forwarded (RFC 7239) is not read"},
	{"client_ip of the certificate's header", yaml(nginxFormat, nginxFormat+"\n      client_ip: x-ssl-client-cert"), config, 10, "holds the certificate"},
	{"client_ip is a list", yaml(nginxFormat, nginxFormat+"\n      client_ip: [X-Real-IP]"), config, 11, "client_ip is not a text"},
	{"hops without client_ip", yaml(nginxFormat, nginxFormat+"\n      hops: 2"), config, 10, "hops has no effect without client_ip"},
	{"no hops", yaml(nginxFormat, nginxFormat+"\n      client_ip: X-Forwarded-For\n      hops: 0"), config, 12, "hops"},
	{"too many hops", yaml(nginxFormat, nginxFormat+"\n      client_ip: X-Forwarded-For\n      hops: 101"), config, 10, "hops: 101 is not a number from 1 to 100"},
	{"no gateway", yaml("      "+gatewayLine+"\n", ""), config, 10, "forwarded has no gateway"},
	{"gateway is a string", yaml(gatewayLine, "gateway: gateway-ca.pem"), config, 12, "gateway"},
	{"gateway has neither names nor fingerprints", yaml(", names: [gateway.acme.example]", ""), config, 12, "neither names nor fingerprints"},
	{"gateway names an empty list", yaml("names: [gateway.acme.example]", "names: []"), config, 10, "no gateway is named"},
	{"gateway pins an empty list", yaml("names: [gateway.acme.example]", "fingerprints: []"), config, 10, "no gateway is named"},
	{"names is a string", yaml("names: [gateway.acme.example]", "names: gateway.acme.example"), config, 12, "not a list"},
	{"a name with a wildcard", yaml("names: [gateway.acme.example]", "names: ['*.acme.example']"), config, 10, "neither a DNS name nor a URI"},
	{"a name that is an address", yaml("names: [gateway.acme.example]", "names: [10.0.0.1]"), config, 10, "neither a DNS name nor a URI"},
	{"a name with a port", yaml("names: [gateway.acme.example]", "names: ['gateway.acme.example:443']"), config, 10, "neither a DNS name nor a URI"},
	{"an empty name", yaml("names: [gateway.acme.example]", "names: ['']"), config, 12, "empty"},
	{"an invalid fingerprint", yaml("names: [gateway.acme.example]", "fingerprints: [gateway.pem]"), config, 12, "not a SHA-256 fingerprint"},
	{"a fingerprint of SHA-1", yaml("names: [gateway.acme.example]", "fingerprints: ['"+somePin[:59]+"']"), config, 12, "not a SHA-256 fingerprint"},
	{"no trust for the gateway", yaml("{anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names", "{names"), config, 12, "gateway has no anchors"},
	{"the users' authority is a gateways' anchor", yaml("anchors: [gateway-ca.pem], crls: [gateway-ca.crl]", "anchors: [ca.pem]"), config, 10, "also issues for users"},
	{"the users' authority among the gateways' anchors", yaml("anchors: [gateway-ca.pem]", "anchors: [gateway-ca.pem, ca.pem]"), config, 10, "also issues for users"},
	{"the users' authority in the port's trust", func(s *site) {
		s.sub(config, gatewayLine, "gateway: {names: [gateway.acme.example]}")
		s.sub(config, forwardedLines[:14], "    trust: {anchors: [ca.pem]}\n"+forwardedLines[:14])
	}, config, 11, "also issues for users"},
	{"a port that requests no certificate", yaml("client_cert: require", "client_cert: none"), config, 10, "any client could forward a certificate"},
	{"a port that no gateway can connect to", yaml(forwardedLines, forwardedLines+"    trust: {anchors: [ca.pem]}\n"), config, 10, "no anchor in common"},
	{"no user is identified", func(s *site) {
		s.put(config, strings.Split(strings.Replace(behindConfig, "users: users.yaml\n", "", 1), "  - name: public")[0])
	}, config, 4, "users is missing"},
}

func TestGatewayConfigurationErrors(t *testing.T) {
	t.Parallel()
	for _, row := range forwardedErrorRows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			row.spoil(b.site)
			_, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
			found := configerror.All(err)
			for _, m := range found {
				if m.File == "" || m.What == "" || m.Hint == "" {
					t.Errorf("incomplete: %#v", m)
				}
			}
			if !hasConfigError(found, b.path(row.file), row.line, row.what) {
				t.Errorf("no error at %s:%d with %q in:\n%v", row.file, row.line, row.what, err)
			}
		})
	}
}

// All configuration errors of one port are reported at once, each of them once.
func TestGatewayConfigurationErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.sub(config, nginxFormat, "format: squid")
	b.sub(config, "names: [gateway.acme.example]", "names: ['']")
	b.sub(config, usersLine, "trust: {anchors: [lost.pem]}")
	b.put("gateway-ca.crl", "nonsense")
	_, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
	var got []string
	for _, m := range configerror.All(err) {
		got = append(got, strings.TrimPrefix(fmt.Sprintf("%s:%d", m.File, m.Line), b.dir+"/"))
	}
	if want := "gateway-ca.crl:1 mtlsguard.yaml:10 mtlsguard.yaml:12 mtlsguard.yaml:13"; strings.Join(got, " ") != want {
		t.Errorf("got  %v\nwant %v\n%v", got, want, err)
	}
}

func (b *behind) pin(holder *testpki.Pair) string { return trust.FingerprintOf(holder.Cert).String() }

// Each row is another configuration, and its answers to four connections.
func TestGatewayConfigurations(t *testing.T) {
	t.Parallel()
	const asIs = "200 alice, 403 untrusted-gateway, refused, refused" // a gateway, another certificate of its authority, a user, no certificate
	for _, row := range []struct {
		name   string
		change func(*behind)
		want   string
	}{
		{"unchanged", func(*behind) {}, asIs},
		{"pinned", func(b *behind) {
			b.sub(config, "names: [gateway.acme.example]", "fingerprints: ['"+b.pin(b.gateway)+"']")
		}, asIs},
		{"another is pinned, and the name is right", func(b *behind) {
			b.sub(config, "names: [", "fingerprints: ['"+somePin+"'], names: [")
		}, asIs},
		{"another is pinned", func(b *behind) {
			b.sub(config, "names: [gateway.acme.example]", "fingerprints: ['"+somePin+"']")
		}, "403 untrusted-gateway, 403 untrusted-gateway, refused, refused"},
		{"the port's own trust", func(b *behind) {
			b.sub(config, gatewayLine, "gateway: {names: [gateway.acme.example]}")
			b.sub(config, forwardedLines[:14], "    trust: {anchors: [gateway-ca.pem]}\n"+forwardedLines[:14])
		}, asIs},
		{"the port's own trust, for others too", func(b *behind) {
			b.sub(config, forwardedLines[:14], "    trust: {anchors: [gateway-ca.pem, ca.pem]}\n"+forwardedLines[:14])
		}, "200 alice, 403 untrusted-gateway, 403 untrusted-gateway, refused"},
		{"request", func(b *behind) { b.sub(config, "client_cert: require", "client_cert: request") }, "200 alice, 403 untrusted-gateway, refused, 403 no-certificate"},
		{"request, not strict", func(b *behind) {
			b.sub(config, "client_cert: require", "client_cert: request")
			b.sub(config, "strict: true", "strict: false")
		}, "200 alice, 403 untrusted-gateway, refused, 200 Default"},
		{"one authority for all, and a pin", func(b *behind) {
			b.gateway = b.ca.Leaf("gateway", named(gatewayName))
			b.sub(config, gatewayLine, "gateway: {anchors: [ca.pem], fingerprints: ['"+b.pin(b.gateway)+"']}")
		}, "200 alice, refused, 403 untrusted-gateway, refused"},
		{"no verified", func(b *behind) { b.sub(config, verifiedLine+"\n      ", "") }, asIs},
		{"another verified value", func(b *behind) { b.sub(config, "value: SUCCESS", "value: ok") }, "400 bad-header, 403 untrusted-gateway, refused, refused"},
		{"as documented", func(b *behind) {
			page, err := os.ReadFile("../docs/gateways.md")
			if err != nil {
				t.Fatal(err)
			}
			_, text, _ := strings.Cut(string(page), "# mtlsguard.yaml, under a port\n")
			text, _, _ = strings.Cut(text, "```")
			b.sub(config, "    client_cert: require\n", "")
			b.sub(config, forwardedLines, strings.ReplaceAll(text, "client-ca.", "ca."))
		}, asIs},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			row.change(b)
			l := b.start(mtlsguard.Options{})
			other := b.gatewayCA.Leaf("other", named("other.acme.example"))
			var got []string
			for _, holder := range []*testpki.Pair{b.gateway, other, b.alice, nil} {
				got = append(got, get(withHeaders(b.client(holder), nginxHeaders(b.alice)...), l.url("internal", "/whoami")))
			}
			if strings.Join(got, ", ") != row.want {
				t.Errorf("got  %q\nwant %q", strings.Join(got, ", "), row.want)
			}
		})
	}
}
