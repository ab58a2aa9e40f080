package e2e

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/middleware"
)

const registrationTrust = "trust: {anchors: [registration-ca.pem], crls: [registration-ca.crl]}"

// Lines of dmzConfig: 3 external, 8 strict, 9 tunnel; 11 registrations, 13 client_cert,
// 15 trust, 16 registration.
var gatewayErrorRows = []configErrorRow{
	{"unknown key of the tunnel", yaml("check: believed", "chek: believed"), config, 9, `unknown key "chek"`},
	{"tunnel is a string", yaml(tunnelLine, "tunnel: orders"), config, 9, "tunnel is not a mapping"},
	{"tunnel is empty", yaml(tunnelLine, "tunnel: {}"), config, 9, "tunnel has no service"},
	{"tunnel is null", yaml(tunnelLine, "tunnel:"), config, 9, "tunnel is not a mapping"},
	{"no service", yaml("service: orders, ", ""), config, 9, "tunnel has no service"},
	{"service is invalid", yaml("service: orders", "service: 'or ders'"), config, 9, "is not a service name"},
	{"service is a list", yaml("service: orders", "service: [orders]"), config, 9, "service is not a text"},
	{"service without a server", yaml("service: orders", "service: billing"), config, 9, `no server may register for "billing"`},
	{"service of a host, without a server", yaml("service: orders", "services: {a.example: billing}"), config, 9, `no server may register for "billing"`},
	{"services is a list", yaml("service: orders", "services: [orders]"), config, 9, "not a mapping of hosts"},
	{"services is empty", yaml("service: orders", "services: {}"), config, 9, "not a mapping of hosts"},
	{"host with a wildcard", yaml("service: orders", "services: {'*.example': orders}"), config, 9, "is not a host name"},
	{"host with a port", yaml("service: orders", "services: {'a.example:443': orders}"), config, 9, "is not a host name"},
	{"host twice", yaml("service: orders", "services: {a.example: orders, A.example.: orders}"), config, 9, "twice"},
	{"host without a service", yaml("service: orders", "services: {a.example: ''}"), config, 9, "is not a service name"},
	{"unknown check", yaml("check: believed", "check: none"), config, 9, `check: "none" is not a check`},
	{"check is false", yaml("check: believed", "check: false"), config, 9, `check: "false" is not a check`},
	{"check without a policy", yaml(", check: believed", ""), config, 1, "policy is missing"},
	{"check without users", yaml(", check: believed", ""), config, 3, "users is missing"},
	{"unmapped without mappings", yaml("strict: false", "unmapped: guest"), config, 8, "maps no certificate"},
	{"methods without a policy", yaml("strict: false", "methods: [PROPFIND]"), config, 8, "maps no certificate"},
	{"behind another gateway", yaml(tunnelLine, tunnelLine+"\n    forwarded: {format: nginx, gateway: {anchors: [gateway-ca.pem], names: [x.example]}, trust: {anchors: [ca.pem]}}"), config, 9, "tunnel and forwarded on one port"},
	{"no registration port", yaml("    "+registrationLine+"\n", ""), config, 9, "no port takes registrations"},

	{"unknown key of the registration", yaml("registration: {services", "registration: {service"), config, 16, `unknown key "service"`},
	{"registration is false", yaml(registrationLine, "registration: false"), config, 16, "registration: false"},
	{"registration is a string", yaml(registrationLine, "registration: yes"), config, 16, "neither true nor a mapping"},
	{"registration is null", yaml(registrationLine, "registration:"), config, 16, "neither true nor a mapping"},
	{"registration is a list", yaml(registrationLine, "registration: [orders]"), config, 16, "neither true nor a mapping"},
	{"services is a string", yaml("[{name: orders, names: [orders.internal.example]}]", "orders"), config, 16, "services is not a list"},
	{"services is an empty list", yaml("[{name: orders, names: [orders.internal.example]}]", "[]"), config, 16, "no server could register"},
	{"a service is a string", yaml("{name: orders, names: [orders.internal.example]}", "orders"), config, 16, "the service is not a mapping"},
	{"unknown key of a service", yaml("names: [orders", "name_s: [orders"), config, 16, `unknown key "name_s"`},
	{"a service without a name", yaml("{name: orders, names", "{names"), config, 16, "is not a service name"},
	{"a service twice", yaml("names: [orders.internal.example]}", "names: [orders.internal.example]}, {name: orders, names: [x.example]}"), config, 16, "listed twice"},
	{"a service without names", yaml(", names: [orders.internal.example]", ""), config, 16, `no server may register for "orders"`},
	{"a wildcard", yaml("[orders.internal.example]", "['*.internal.example']"), config, 16, "is not a DNS name"},
	{"an address", yaml("[orders.internal.example]", "[10.0.0.1]"), config, 16, "is not a DNS name"},
	{"a name that only folds to ASCII", yaml("[orders.internal.example]", "['\u212aelvin.example']"), config, 16, "is not a DNS name"},
	{"a URI", yaml("[orders.internal.example]", "['spiffe://acme/orders']"), config, 16, "is not a DNS name"},
	{"an empty name", yaml("[orders.internal.example]", "['']"), config, 16, "empty"},
	{"an invalid fingerprint", yaml("names: [orders.internal.example]", "fingerprints: [orders.pem]"), config, 16, "not a SHA-256 fingerprint"},
	{"H16: a share above 100", yaml("registration: {", "registration: {caller_share: 101, "), config, 16, "caller_share: 101"},
	{"H16: a share of 0", yaml("registration: {", "registration: {caller_share: 0, "), config, 16, "caller_share"},
	{"H16: a share that is not a number", yaml("registration: {", "registration: {caller_share: half, "), config, 16, "caller_share"},
	{"an invalid upgrade protocol", yaml("registration: {", "registration: {upgrades: ['web socket'], "), config, 16, "is not a protocol"},
	{"K2: registration without certificates", yaml("client_cert: require", "client_cert: request"), config, 13, "any client could register"},
	{"K2: servers register under the users' authority", yaml(registrationTrust, "trust: {anchors: [ca.pem]}"), config, 16, "also issues for the callers of port external"},
	{"K2: the users' authority among the anchors", yaml("anchors: [registration-ca.pem]", "anchors: [registration-ca.pem, ca.pem]"), config, 16, "also issues for the callers of port external"},
	{"K2: and by their own names", func(s *site) {
		s.sub(config, "anchors: [registration-ca.pem]", "anchors: [registration-ca.pem, ca.pem]")
		s.sub(config, registrationLine, "registration: true")
		s.sub(config, "service: orders", "service: orders.internal.example")
	}, config, 16, "also issues for the callers of port external"},
	{"strict on a registration port", yaml(registrationLine, registrationLine+"\n    strict: true"), config, 17, "which has no users"},
	{"a tunnel on a registration port", yaml(registrationLine, registrationLine+"\n    tunnel: {service: orders}"), config, 17, "which has no users"},
	{"two registration ports", func(s *site) {
		s.put(config, s.get(config)+"  - {name: more, listen: '127.0.0.1:0', client_cert: require, certificate: {cert: gateway.pem, key: gateway-key.pem}, trust: {anchors: [registration-ca.pem]}, registration: true}\n")
	}, config, 18, "a second registration port"},
	{"a rule for the registration port", func(s *site) {
		s.sub(config, "reload: 0", "users: users.yaml\npolicy: policy.csv\nreload: 0")
		s.sub(config, ", check: believed", "")
		s.put("policy.csv", "p, user:alice, registrations, GET, /x, allow\n")
		s.put("users.yaml", "mappings: []\n")
	}, "policy.csv", 1, "registrations"},
}

// Lines of insideConfig: 4 reverse, 5 name, 6 gateways, 7 services, 8 certificate, 9
// gateway, 10 clients, 11 strict.
var serverErrorRows = []configErrorRow{
	{"unknown key", yaml("clients:", "users:"), config, 10, `unknown key "users"`},
	{"unknown key of the gateway", yaml("names: [gateway", "nmes: [gateway"), config, 9, `unknown key "nmes"`},
	{"unknown key of the clients", yaml("clients: {anchors", "clients: {anchor"), config, 10, `unknown key "anchor"`},
	{"reverse is a string", func(s *site) { s.put(config, "users: users.yaml\npolicy: policy.csv\nreverse: gateway:1\n") }, config, 3, "reverse is not a mapping"},
	{"reverse is null", func(s *site) { s.put(config, "users: users.yaml\npolicy: policy.csv\nreverse:\n") }, config, 3, "reverse is not a mapping"},
	{"no ports and no gateways", func(s *site) { s.put(config, "users: users.yaml\npolicy: policy.csv\n") }, config, 1, "ports is missing"},
	{"an invalid name", yaml("name: tunnel", "name: 'tun nel'"), config, 5, "is not a port name"},
	{"a name that is a star", yaml("name: tunnel", "name: '*'"), config, 5, "is not a port name"},
	{"a port has the name", more(config, "ports: [{name: tunnel, listen: '127.0.0.1:0', client_cert: none, certificate: {cert: server.pem, key: server-key.pem}}]\n"), config, 5, `name: "tunnel" is already used`},
	{"a port has the default name", func(s *site) {
		s.sub(config, "  name: tunnel\n", "")
		s.put(config, s.get(config)+"ports: [{name: tunnel, listen: '127.0.0.1:0', client_cert: none, certificate: {cert: server.pem, key: server-key.pem}}]\n")
	}, config, 5, `name: "tunnel" is already used`},
	{"no gateways", yaml(`["GATEWAY"]`, "[]"), config, 6, "reverse has no gateways"},
	{"gateways is missing", yaml(`  gateways: ["GATEWAY"]`+"\n", ""), config, 5, "reverse has no gateways"},
	{"gateways is a string", yaml(`["GATEWAY"]`, "gateway:1"), config, 6, "gateways is not a list"},
	{"a gateway without a port", yaml("GATEWAY", "gateway.acme.example"), config, 6, "is not HOST:PORT"},
	{"a gateway with port 0", yaml("GATEWAY", "gateway.acme.example:0"), config, 6, "is not HOST:PORT"},
	{"a gateway without a host", yaml("GATEWAY", ":8444"), config, 6, "is not HOST:PORT"},
	{"a gateway that is a URL", yaml("GATEWAY", "https://gateway:8444"), config, 6, "is not HOST:PORT"},
	{"a gateway twice", yaml(`"GATEWAY"`, "a:1, a:1"), config, 6, "listed twice"},
	{"no services", yaml("[orders]", "[]"), config, 7, "reverse has no services"},
	{"services is missing", yaml("  services: [orders]\n", ""), config, 5, "reverse has no services"},
	{"an invalid service name", yaml("[orders]", "['or,ders']"), config, 7, "is not a service name"},
	{"a service twice", yaml("[orders]", "[orders, orders]"), config, 7, "listed twice"},
	{"no certificate", yaml("  certificate: {cert: orders.pem, key: orders-key.pem}\n", ""), config, 5, "has no certificate"},
	{"no key", yaml("{cert: orders.pem, key: orders-key.pem}", "{cert: orders.pem}"), config, 8, "cert and key"},
	{"another's key", yaml("key: orders-key.pem", "key: server-key.pem"), "server-key.pem", 1, "match"},
	{"a certificate without clientAuth", yaml("{cert: orders.pem, key: orders-key.pem}", "{cert: server.pem, key: server-key.pem}"), config, 8, "clientAuth"},
	{"K3: no gateway", yaml("  gateway: {anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names: [gateway.acme.example]}\n", ""), config, 5, "any server could take its place"},
	{"K3: the gateway has no name", yaml(", names: [gateway.acme.example]", ""), config, 9, "neither names nor fingerprints"},
	{"K3: the gateway has no authority", yaml("{anchors: [gateway-ca.pem], crls: [gateway-ca.crl], names", "{names"), config, 9, "gateway has no anchors"},
	{"K3: the gateway is a wildcard", yaml("[gateway.acme.example]", "['*.acme.example']"), config, 5, "neither a DNS name nor a URI"},
	{"K3: the users' authority is a gateways' anchor", yaml("{anchors: [gateway-ca.pem], crls: [gateway-ca.crl]", "{anchors: [ca.pem]"), config, 5, "also issues for users"},
	{"a broken file of the gateways", whole("gateway-ca.crl", "nonsense"), "gateway-ca.crl", 1, ""},
	{"server_name is invalid", yaml("strict: true", "server_name: 'a b'"), config, 11, "is not a host name"},
	{"no clients", yaml("  clients: {anchors: [ca.pem], crls: [ca.crl]}\n", ""), config, 5, "reverse has no clients"},
	{"clients without anchors", yaml("{anchors: [ca.pem], crls: [ca.crl]}", "{}"), config, 10, "no anchors"},
	{"unmapped Default with strict", yaml("strict: true", "unmapped: Default"), config, 11, "needs strict: false"},
	{"strict is a string", yaml("strict: true", "strict: 'yes'"), config, 11, "strict"},
	{"no policy", yaml("policy: policy.csv\n", ""), config, 1, "policy is missing"},
	{"no users", yaml("users: users.yaml\n", ""), config, 4, "users is missing"},
	{"a rule for another port", more("policy.csv", "p, user:alice, tunel, GET, /x, allow\n"), "policy.csv", 3, "tunel"},
	{"a mapping for another port", more("users.yaml", "  - {id: x, user: x, subject: CN=x, issuer: ca.pem, ports: [tunel]}\n"), "users.yaml", 3, "tunel"},
}

// Every configuration error has a position and a hint.
func TestReverseConfigurationErrors(t *testing.T) {
	t.Parallel()
	binary := serverBinary(t)
	for _, side := range []struct {
		name string
		rows []configErrorRow
		make func(*dmz) *site
	}{
		{"gateway", gatewayErrorRows, func(d *dmz) *site { d.put("gateway-ca.pem", string(d.gatewayCA.CertPEM())); return d.site }},
		{"inside", serverErrorRows, func(d *dmz) *site { d.registrations = "GATEWAY"; return d.inside() }},
	} {
		for i, row := range side.rows {
			t.Run(side.name+"/"+row.name, func(t *testing.T) {
				t.Parallel()
				s := side.make(newDMZ(t))
				row.spoil(s)
				if text := s.get(config); strings.Contains(text, `"GATEWAY"`) {
					s.put(config, strings.Replace(text, "GATEWAY", "127.0.0.1:1", 1))
				}
				_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
				found := configerror.All(err)
				for _, m := range found {
					if m.File == "" || m.What == "" || m.Hint == "" {
						t.Errorf("incomplete: %#v", m)
					}
				}
				if !hasConfigError(found, s.path(row.file), row.line, row.what) {
					t.Errorf("no error at %s:%d with %q in:\n%v", row.file, row.line, row.what, err)
				}
				if i%8 == 0 { // the example server runs the same code: some rows are enough
					refusesToStart(t, binary, s, row)
				}
			})
		}
	}
}

// The configuration errors of both roles are reported at once.
func TestReverseConfigurationErrorsAreReportedTogether(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.registrations = "gateway" // no port
	s := d.inside()
	s.put(config, s.get(config)+strings.TrimPrefix(dmzConfig, "reload: 0\n"))
	s.sub(config, "services: [orders]", "services: ['']")
	s.sub(config, "check: believed", "check: none")
	s.sub(config, "name: orders, names", "name: 'or ders', names")
	_, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	for _, what := range []string{`gateways: "gateway" is not HOST:PORT`, "services has an empty entry", `check: "none" is not a check`, `name: "or ders" is not a service name`, `no server may register for "orders"`, "gateway.pem cannot be read"} {
		if !strings.Contains(err.Error(), what) {
			t.Errorf("no %q in:\n%v", what, err)
		}
	}
}

// Explain covers the handshake on ports with a TLS handshake.
func TestExplainOfPortsWithTunnels(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer, inner := d.startBoth()
	alice := []*x509.Certificate{d.alice.Cert}
	x, err := outer.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "external", Path: "/secret", Certificates: alice})
	if err != nil || !x.Allowed || x.Policy != nil || x.Mapping != nil {
		t.Errorf("got %+v, %v; want an allowed request without mappings and policy", x, err)
	}
	if x, err := outer.server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: "external", Path: "/a//b", Certificates: alice}); err != nil || x.Allowed || x.Reason != "ambiguous-path" {
		t.Errorf("got %+v, %v; want ambiguous-path", x, err)
	}
	for server, port := range map[*mtlsguard.Server]string{outer.server: "registrations", inner.server: "tunnel"} {
		if _, err := server.Explain(t.Context(), mtlsguard.ExplainRequest{Port: port, Certificates: alice}); len(configerror.All(err)) != 1 {
			t.Errorf("%s: got %v, want one error", port, err)
		}
	}
}

// Authenticators on a port that identifies no users are an error.
func TestAuthenticatorsOfPortsWithTunnels(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.registrations = "127.0.0.1:1"
	s := d.inside()
	basic := middleware.Basic{Check: middleware.Passwords(map[string]string{"bob": "secret"})}
	for _, row := range []struct {
		site *site
		port string
		good bool
	}{{d.site, "external", false}, {d.site, "registrations", false}, {s, "tunnel", true}} {
		_, err := mtlsguard.Open(row.site.path(config), mtlsguard.Options{Authenticators: map[string][]middleware.Authenticator{row.port: {basic}}})
		if (err == nil) != row.good {
			t.Errorf("%s: got %v, want an error: %t", row.port, err, !row.good)
		}
	}
}

// Lint covers both roles, and reports no rules of ports without a policy check.
func TestLintCoversTunnels(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	d.registrations = "127.0.0.1:1"
	s := d.inside()
	for _, one := range []*site{d.site, s} {
		found, err := mtlsguard.Lint(one.path(config), mtlsguard.LintOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.About == "ports" && !strings.Contains(f.What, "expires") {
				t.Error(f)
			}
		}
	}
	later, err := mtlsguard.Lint(s.path(config), mtlsguard.LintOptions{Now: func() time.Time { return time.Now().Add(48 * time.Hour) }})
	findings := ""
	for _, f := range later {
		findings += f.String() + "\n"
	}
	if err != nil || !strings.Contains(findings, "port tunnel expired") || !strings.Contains(findings, "port tunnel: the CRL of \"CN=Client CA\" expired") {
		t.Errorf("lint: %s%v", findings, err)
	}
}
