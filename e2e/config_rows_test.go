package e2e

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// configErrorRow puts one error into the files of a site.
type configErrorRow struct {
	name  string
	spoil func(*site)
	file  string // the file with the error
	line  int    // 0: the error has no line; added: the first line that more has added
	what  string // part of the error's text
}

// yaml returns a change that replaces text in mtlsguard.yaml.
func yaml(old, replacement string) func(*site) {
	return func(s *site) { s.Helper(); s.sub("mtlsguard.yaml", old, replacement) }
}

// upstreamOf returns a change that gives the first port an upstream, in YAML.
func upstreamOf(value string) func(*site) {
	return yaml("    strict: true\n", "    upstream: "+value+"\n    strict: true\n")
}

// whole returns a change that replaces a file.
func whole(name, content string) func(*site) { return func(s *site) { s.put(name, content) } }

// more returns a change that appends content to a file.
func more(name, content string) func(*site) {
	return func(s *site) { s.put(name, s.get(name)+content) }
}

// without returns a change that removes a file and calls then with its path.
func without(name string, then func(path string) error) func(*site) {
	return func(s *site) {
		s.Helper()
		if err := errors.Join(os.Remove(s.path(name)), then(s.path(name))); err != nil {
			s.Fatal(err)
		}
	}
}

func none(string) error { return nil }

func folder(path string) error { return os.Mkdir(path, 0o700) }

func fifo(path string) error { return testkit.NamedPipe(path) }

func loop(path string) error { return os.Symlink(filepath.Base(path), path) }

func sparse(path string) error {
	return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 10<<30))
}

const added = -1

const config = "mtlsguard.yaml"

var configErrorRows = []configErrorRow{
	{"unknown key", yaml("reload: 0", "relaod: 0"), config, 3, `unknown key "relaod"`},
	{"upstream is a text", upstreamOf(`"http://127.0.0.1:8080"`), config, 12, `upstream is not a mapping`},
	{"unknown key of upstream", upstreamOf(`{url: "http://127.0.0.1:8080", timout: 5s}`), config, 12, `unknown key "timout"`},
	{"upstream without url", upstreamOf(`{timeout: 5s}`), config, 12, `upstream has no url`},
	{"an url without scheme", upstreamOf(`{url: "127.0.0.1:8080"}`), config, 12, `url: "127.0.0.1:8080" is not a URL`},
	{"an url of ftp", upstreamOf(`{url: "ftp://127.0.0.1:8080"}`), config, 12, `has the scheme "ftp"`},
	{"an url with a path", upstreamOf(`{url: "http://127.0.0.1:8080/api"}`), config, 12, `has a path`},
	{"an url with a query", upstreamOf(`{url: "http://127.0.0.1:8080?x"}`), config, 12, `has a query`},
	{"an url with a user", upstreamOf(`{url: "http://root@127.0.0.1:8080"}`), config, 12, `has a user`},
	{"an url without host", upstreamOf(`{url: "http://:8080"}`), config, 12, `has no host`},
	{"an url with a bad port", upstreamOf(`{url: "http://127.0.0.1:80800"}`), config, 12, `has no valid port`},
	{"a socket without path", upstreamOf(`{url: "unix:"}`), config, 12, `has no path of a socket`},
	{"a socket as a URL", upstreamOf(`{url: "unix:///run/x.sock"}`), config, 12, `has no path of a socket`},
	{"plain HTTP over the network", upstreamOf(`{url: "http://10.0.0.7:8080"}`), config, 12, `plain HTTP over the network`},
	{"h2c to a name", upstreamOf(`{url: "h2c://orders.acme.example:8080"}`), config, 12, `plain HTTP over the network`},
	{"a name that begins like localhost", upstreamOf(`{url: "http://localhost.evil.example"}`), config, 12, `plain HTTP over the network`},
	{"forgeable headers for nothing", upstreamOf(`{url: "http://127.0.0.1:8080", forgeable_headers: true}`), config, 12, `forgeable_headers: true has no effect`},
	{"https without anchors", upstreamOf(`{url: "https://orders.acme.example"}`), config, 12, `upstream has no anchors`},
	{"anchors without https", upstreamOf(`{url: "http://127.0.0.1:8080", anchors: [ca.pem]}`), config, 12, `anchors has no effect without https`},
	{"a missing anchor", upstreamOf(`{url: "https://orders.acme.example", anchors: [missing.pem]}`), config, 12, `missing.pem`},
	{"a certificate without key", upstreamOf(`{url: "https://orders.acme.example", anchors: [ca.pem], certificate: {cert: server.pem}}`), config, 12, `certificate of upstream needs both`},
	{"a certificate for servers", upstreamOf(`{url: "https://orders.acme.example", anchors: [ca.pem], certificate: {cert: server.pem, key: server-key.pem}}`), config, 12, `not for client authentication`},
	{"a header that is no name", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {user: "X User"}}`), config, 12, `is not the name of a header`},
	{"a header with an underscore", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {user: REMOTE_USER}}`), config, 12, `has an underscore`},
	{"a header of HTTP", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {user: Content-Length}}`), config, 12, `has a meaning of its own`},
	{"a header of proxies", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {user: x-forwarded-for}}`), config, 12, `has a meaning of its own`},
	{"one header twice", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {user: X-Who, groups: x-who}}`), config, 12, `user and groups have one name`},
	{"unknown key of headers", upstreamOf(`{url: "http://127.0.0.1:8080", headers: {name: X-Who}}`), config, 12, `unknown key "name"`},
	{"idle below timeout", upstreamOf(`{url: "http://127.0.0.1:8080", timeout: 30s, idle: 5s}`), config, 12, `idle: 5s is shorter than timeout`},
	{"many retries", upstreamOf(`{url: "http://127.0.0.1:8080", retries: 11}`), config, 12, `retries: 11 is too many`},
	{"an upgrade to h2c", upstreamOf(`{url: "http://127.0.0.1:8080", upgrades: [h2c]}`), config, 12, `would carry requests that no policy sees`},
	{"an upgrade that is no protocol", upstreamOf(`{url: "http://127.0.0.1:8080", upgrades: ["web socket"]}`), config, 12, `is not a protocol`},
	{"an upgrade on h2c", upstreamOf(`{url: "h2c://127.0.0.1:8080", upgrades: [websocket]}`), config, 12, `upgrades has no effect with h2c`},
	{"health without slash", upstreamOf(`{url: "http://127.0.0.1:8080", health: healthz}`), config, 12, `health: "healthz" is not a path`},
	{"Y11: a share above 100", upstreamOf(`{url: "http://127.0.0.1:8080", caller_share: 101}`), config, 12, `caller_share: 101`},
	{"no requests", upstreamOf(`{url: "http://127.0.0.1:8080", requests: 0}`), config, 12, `requests: "0"`},
	{"quotas is no list", more(config, "quotas: {name: q, rate: 1/s}\n"), config, added, "quotas is not a list"},
	{"a quota is no mapping", more(config, "quotas: [fast]\n"), config, added, "the quota"},
	{"unknown key of a quota", more(config, "quotas: [{name: q, rate: 1/s, requests: 5}]\n"), config, added, `unknown key "requests"`},
	{"a quota without name", more(config, "quotas: [{rate: 1/s}]\n"), config, added, `name: "" is not the name of a quota`},
	{"a quota twice", more(config, "quotas: [{name: q, rate: 1/s}, {name: q, rate: 2/s}]\n"), config, added, `name: "q" is already used`},
	{"a quota without rate", more(config, "quotas: [{name: q}]\n"), config, added, "rate is missing"},
	{"a quota with a bad rate", more(config, "quotas: [{name: q, rate: 5 per second}]\n"), config, added, `rate: "5 per second" is not a rate`},
	{"a quota that bounds nothing", more(config, "quotas: [{name: q, rate: 2000000/s}]\n"), config, added, "more than a million"},
	{"a quota with a burst of nothing", more(config, "quotas: [{name: q, rate: 5/s, burst: 0}]\n"), config, added, `burst: "0" is not a whole number of 1 or more`},
	{"a quota with a burst of a year", more(config, "quotas: [{name: q, rate: 1/h, burst: 10000}]\n"), config, added, "burst: 10000 requests take longer than a year"},
	{"a quota per address", more(config, "quotas: [{name: q, rate: 5/s, per: address}]\n"), config, added, `per: "address" is neither user nor port`},
	{"a quota with a bad path", more(config, "quotas: [{name: q, rate: 5/s, path: /a/../b}]\n"), config, added, `the path "/a/../b" contains the segment ..`},
	{"a quota with an empty path", more(config, "quotas: [{name: q, rate: 5/s, path: ''}]\n"), config, added, "path is empty"},
	{"a quota with a bad group", more(config, "quotas: [{name: q, rate: 5/s, group: 'group:staff'}]\n"), config, added, `group: "group:staff" is not the name of a group`},
	{"addresses is a list", more(config, "addresses: [10.0.0.0/8]\n"), config, added, "addresses is not a mapping"},
	{"addresses is empty", more(config, "addresses: {}\n"), config, added, "addresses has neither allow nor deny"},
	{"unknown key of addresses", more(config, "addresses: {alow: [10.0.0.0/8]}\n"), config, added, `unknown key "alow"`},
	{"an empty list of addresses", more(config, "addresses: {allow: []}\n"), config, added, "allow is empty: every address would be refused"},
	{"a bare address", more(config, "addresses: {allow: [10.0.0.1]}\n"), config, added, `allow: "10.0.0.1" is an address, and not a range`},
	{"a host name for an address", more(config, "addresses: {deny: [partner.acme.example]}\n"), config, added, `deny: "partner.acme.example" is not a range of addresses`},
	{"a range with host bits", yaml("strict: true", "addresses: {allow: [10.1.2.3/8]}"), config, 12, `allow: "10.1.2.3/8" has bits beyond its length`},
	{"a range twice", yaml("strict: true", "addresses: {allow: [10.0.0.0/8], deny: [10.0.0.0/8]}"), config, 12, "deny: 10.0.0.0/8 is listed twice"},
	{"proxy_protocol is true", yaml("strict: true", "proxy_protocol: true"), config, 12, "proxy_protocol is not a mapping"},
	{"proxy_protocol is empty", yaml("strict: true", "proxy_protocol: {}"), config, 12, "proxy_protocol has no from"},
	{"proxy_protocol without ranges", yaml("strict: true", "proxy_protocol: {from: []}"), config, 12, "from is empty: no header would be read"},
	{"proxy_protocol with an address", yaml("strict: true", "proxy_protocol: {from: [10.0.0.1]}"), config, 12, `from: "10.0.0.1" is an address, and not a range`},
	{"unknown key of a port", yaml("strict: true", "stirct: true"), config, 12, `unknown key "stirct"`},
	{"unknown key of a certificate", yaml("key: server-key.pem", "kye: server-key.pem"), config, 8, `unknown key "kye"`},
	{"unknown key of a trust", yaml("crls: [ca.crl]", "crl: [ca.crl]"), config, 11, `unknown key "crl"`},
	{"unknown limit", yaml("handshake: 5s", "hand_shake: 5s"), config, 13, `unknown key "hand_shake"`},
	{"a key twice", yaml("reload: 0", "users: users.yaml"), config, 3, "twice"},
	{"a key of a port twice", yaml("strict: true", "name: internal"), config, 12, "twice"},
	{"a merge key", yaml("strict: true", "<<: {strict: false}"), config, 12, "unknown key"},
	{"name twice", yaml("name: public", "name: internal"), config, 14, "is already used"},
	{"name missing", yaml("- name: public\n    listen", "- listen"), config, 14, "not a port name"},
	{"name malformed", yaml("name: public", "name: 'pub lic'"), config, 14, "not a port name"},
	{"name is a star", yaml("name: public", "name: '*'"), config, 14, "not a port name"},
	{"listen malformed", yaml("listen: 127.0.0.1:0", "listen: 127.0.0.1"), config, 6, "is not HOST:PORT"},
	{"listen out of range", yaml("listen: 127.0.0.1:0", "listen: 127.0.0.1:65536"), config, 6, "is not HOST:PORT"},
	{"listen without number", yaml("listen: 127.0.0.1:0", "listen: '127.0.0.1:'"), config, 6, "is not HOST:PORT"},
	{"listen missing", yaml("    listen: 127.0.0.1:0\n", ""), config, 5, "is not HOST:PORT"},
	{"listen twice", func(s *site) {
		yaml("127.0.0.1:0", "127.0.0.1:18443")(s)
		yaml("127.0.0.1:0", "127.0.0.1:18443")(s)
	}, config, 15, "is already used"},
	{"listen on a socket without a name", yaml("listen: 127.0.0.1:0", "listen: 'systemd:'"), config, 6, `listen: "" is not the name of a socket`},
	{"listen on a socket with two names", yaml("listen: 127.0.0.1:0", "listen: systemd:a:b"), config, 6, `listen: "a:b" is not the name of a socket`},
	{"listen on a socket twice", func(s *site) {
		yaml("127.0.0.1:0", "systemd:a")(s)
		yaml("127.0.0.1:0", "systemd:a")(s)
	}, config, 15, `listen: "systemd:a" is already used`},
	{"listen twice, every address", func(s *site) {
		yaml("127.0.0.1:0", "'0.0.0.0:18443'")(s)
		yaml("127.0.0.1:0", "':18443'")(s)
	}, config, 15, "is already used"},
	{"client_cert missing", yaml("    client_cert: require\n", ""), config, 5, "client_cert"},
	{"client_cert empty", yaml("client_cert: require", "client_cert:"), config, 7, "client_cert"},
	{"client_cert unknown", yaml("client_cert: require", "client_cert: optional"), config, 7, "client_cert"},
	{"client_cert capitalised", yaml("client_cert: require", "client_cert: Require"), config, 7, "client_cert"},
	{"strict quoted", yaml("strict: true", `strict: "yes"`), config, 12, `strict: "yes" is neither true nor false`},
	{"strict is yes", yaml("strict: true", "strict: yes"), config, 12, `strict: "yes" is neither true nor false`},
	{"strict is a list", yaml("strict: true", "strict: [true]"), config, 12, "strict"},
	{"min_version old", yaml("strict: true", "min_version: 1.1"), config, 12, "min_version"},
	{"no certificate", yaml("    certificate: {cert: server.pem, key: server-key.pem}\n", ""), config, 5, "no certificate"},
	{"no key", yaml("{cert: server.pem, key: server-key.pem}", "{cert: server.pem}"), config, 8, "cert and key"},
	{"no trust on require", func(s *site) {
		yaml("    trust:\n      anchors: [ca.pem]\n      crls: [ca.crl]\n", "")(s)
	}, config, 5, "has no trust"},
	{"no trust on request", yaml("    trust: {anchors: [ca.pem]}\n", ""), config, 14, "has no trust"},
	{"trust empty", yaml("trust: {anchors: [ca.pem]}", "trust: {}"), config, 18, "no anchors"},
	{"anchors empty", yaml("anchors: [ca.pem]\n", "anchors: []\n"), config, 10, "no anchors"},
	{"anchors hold an empty text", yaml("anchors: [ca.pem]\n", "anchors: [ca.pem, '']\n"), config, 10, "empty entry"},
	{"anchors is a string", yaml("anchors: [ca.pem]\n", "anchors: ca.pem\n"), config, 10, "not a list"},
	{"profile unknown", yaml("crls: [ca.crl]", "profile: lax"), config, 11, "profile"},
	{"revocation unknown", yaml("crls: [ca.crl]", "revocation: 'on'"), config, 11, "revocation"},
	{"hard without crls", yaml("crls: [ca.crl]", "revocation: hard"), config, 11, "no crls"},
	{"unmapped Default with strict", yaml("strict: true", "unmapped: Default"), config, 12, "strict"},
	{"unmapped reserved", yaml("strict: false", "unmapped: Everybody"), config, 19, "unmapped"},
	{"unmapped reserved, other case", yaml("strict: false", "unmapped: default"), config, 19, "unmapped"},
	{"unmapped malformed", yaml("strict: false", "unmapped: 'a b'"), config, 19, "unmapped"},
	{"method in lower case", yaml("strict: true", "methods: [propfind]"), config, 12, "propfind"},
	{"methods is a string", yaml("strict: true", "methods: PROPFIND"), config, 12, "not a list"},
	{"server name with a wildcard", yaml("strict: true", "server_names: ['*.acme.example']"), config, 12, "host name"},
	{"server name with a port", yaml("strict: true", "server_names: ['acme.example:443']"), config, 12, "host name"},
	{"server name empty", yaml("strict: true", "server_names: ['']"), config, 12, "empty"},
	{"limit negative", yaml("handshake: 5s", "handshake: -5s"), config, 13, "handshake"},
	{"limit zero", yaml("handshake: 5s", "handshake: 0"), config, 13, "handshake"},
	{"limit without unit", yaml("handshake: 5s", "handshake: 5"), config, 13, "handshake"},
	{"limit huge", yaml("handshake: 5s", "handshake: 999999h"), config, 13, "handshake"},
	{"limit beyond numbers", yaml("handshake: 5s", "connection_age: 99999999h"), config, 13, "connection_age"},
	{"connections zero", yaml("handshake: 5s", "connections: 0"), config, 13, "connections"},
	{"connections_per_ip negative", yaml("handshake: 5s", "connections_per_ip: -1"), config, 13, "connections_per_ip"},
	{"streams beyond 32 bits", yaml("handshake: 5s", "streams: 4294967296"), config, 13, "streams"},
	{"streams with a point", yaml("handshake: 5s", "streams: 1.5"), config, 13, "streams"},
	{"header_bytes small", yaml("handshake: 5s", "header_bytes: 100"), config, 13, "header_bytes"},
	{"reload without unit", yaml("reload: 0", "reload: 5"), config, 3, "reload"},
	{"reload negative", yaml("reload: 0", "reload: -5s"), config, 3, "reload"},
	{"reload tiny", yaml("reload: 0", "reload: 1ms"), config, 3, "reload"},
	{"reload is a string", yaml("reload: 0", "reload: often"), config, 3, "reload"},
	{"policy missing", yaml("policy: policy.csv\n", ""), config, 1, "policy is missing"},
	{"users missing", yaml("users: users.yaml\n", ""), config, 4, "users is missing"},
	{"ports missing", whole(config, "users: users.yaml\npolicy: policy.csv\n"), config, 1, "ports is missing"},
	{"ports empty", whole(config, "users: users.yaml\npolicy: policy.csv\nports: []\n"), config, 3, "ports is empty"},
	{"ports is a mapping", whole(config, "users: users.yaml\npolicy: policy.csv\nports: {a: b}\n"), config, 3, "not a list"},
	{"a port is a string", whole(config, "users: users.yaml\npolicy: policy.csv\nports: [internal]\n"), config, 3, "not a mapping"},
	{"a second document", more(config, "---\nusers: x\n"), config, 21, "second document"},
	{"a tab", yaml("  - name: public", "\t- name: public"), config, 14, "not YAML"},
	{"not a mapping", whole(config, "[a, b]\n"), config, 1, "not a mapping"},
	{"a text", whole(config, "hello\n"), config, 1, "not a mapping"},
	{"nothing", whole(config, ""), config, 0, "empty"},
	{"comments only", whole(config, "# nothing\n"), config, 0, "empty"},
	{"garbage", whole(config, "\x00\x01\xff\xfe"), config, 1, "control character U+0000"},
	{"an alias to nowhere", yaml("users: users.yaml", "users: *somewhere"), config, 0, "not YAML"},
	{"the configuration is a directory", without(config, folder), config, 0, "not a file"},
	{"the configuration is a pipe", without(config, fifo), config, 0, "not a file"},
	{"the configuration is missing", without(config, none), config, 0, "cannot be read"},

	{"anchors missing", without("ca.pem", none), config, 10, "ca.pem cannot be read"},
	{"anchors is a directory", without("ca.pem", folder), config, 10, "ca.pem is not a file"},
	{"anchors is a pipe", without("ca.pem", fifo), config, 10, "ca.pem is not a file"},
	{"anchors is a loop", without("ca.pem", loop), config, 10, "ca.pem cannot be read"},
	{"anchors is a sparse file of 10 GiB", without("ca.pem", sparse), config, 10, "larger than 256 MiB"},
	{"anchors file empty", whole("ca.pem", ""), "ca.pem", 1, "empty"},
	{"anchors with a key", func(s *site) { more("ca.pem", string(s.ca.KeyPEM()))(s) }, "ca.pem", added, "PRIVATE KEY"},
	{"anchors truncated", func(s *site) { s.put("ca.pem", s.get("ca.pem")[:200]) }, "ca.pem", 1, "no end"},
	{"anchors: one good, one bad", more("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca.pem", added, "cannot be read"},
	{"anchors: text around", more("ca.pem", "hello\n"), "ca.pem", added, "PEM"},
	{"the policy is missing", without("policy.csv", none), config, 2, "policy.csv cannot be read"},
	{"users is missing", without("users.yaml", none), config, 1, "users.yaml cannot be read"},
	{"the CRL is missing", without("ca.crl", none), config, 11, "ca.crl cannot be read"},
	{"the key is missing", without("server-key.pem", none), config, 8, "server-key.pem cannot be read"},
	{"the key is another's", func(s *site) { s.put("server-key.pem", string(s.alice.KeyPEM())) }, "server-key.pem", 1, "match"},
	{"the key is garbage", whole("server-key.pem", "garbage"), "server-key.pem", 1, "cannot be used"},
	{"the certificate is garbage", whole("server.pem", "garbage"), "server.pem", 1, "no certificate"},
	{"the certificate's second block is cut off", func(s *site) {
		s.put("server.pem", s.get("server.pem")+s.get("ca.pem")[:200])
	}, "server.pem", added, "has no end"},
	{"CRL garbled", whole("ca.crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), "ca.crl", 1, "cannot be read"},
	{"CRL of zero bytes", whole("ca.crl", ""), "ca.crl", 1, "empty"},
	{"CRL is a certificate", func(s *site) { s.put("ca.crl", s.get("ca.pem")) }, "ca.crl", 1, "CERTIFICATE"},
	{"CRL forged", func(s *site) {
		forger := *s.other
		ca := *s.ca.Cert
		ca.PublicKey = s.other.Cert.PublicKey // x509 checks that the key belongs to the certificate
		forger.Cert = &ca
		s.put("ca.crl", crlPEM(forger.CRL(2, nil)))
	}, "ca.crl", 1, "not signed"},
	{"CRL not yet valid", func(s *site) {
		s.put("ca.crl", crlPEM(s.ca.CRL(2, nil, func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(time.Hour) })))
	}, "ca.crl", 1, "not valid before"},
	{"CRL with a critical extension, the second in the file", func(s *site) {
		s.put("ca.crl", s.crl(1)+crlPEM(s.ca.CRL(2, nil, critical)))
	}, "ca.crl", added, "critical extension"},

	{"policy: an unknown effect", more("policy.csv", "p, user:bob, *, GET, /x, alow\n"), "policy.csv", 6, "alow"},
	{"policy: an unknown port", more("policy.csv", "p, user:bob, internl, GET, /x, allow\n"), "policy.csv", 6, "internl"},
	{"policy: an unknown method", more("policy.csv", "p, user:bob, *, FETCH, /x, allow\n"), "policy.csv", 6, "FETCH"},
	{"policy: a short line", more("policy.csv", "p, user:bob, *, GET, /x\n"), "policy.csv", 6, "fields"},
	{"policy: a circle of groups", more("policy.csv", "g, group:a, group:b\ng, group:b, group:a\n"), "policy.csv", 7, "group"},
	{"users: an unknown key", more("users.yaml", "  - {id: x, user: x, subjct: CN=x}\n"), "users.yaml", 4, "subjct"},
	{"users: an unknown port", more("users.yaml", "  - {id: x, user: x, subject: CN=x, issuer: ca.pem, ports: [extern]}\n"), "users.yaml", 4, "extern"},
	{"users: no issuer", more("users.yaml", "  - {id: x, user: x, subject: CN=x}\n"), "users.yaml", 4, "issuer"},
	{"users: an issuer that is missing", more("users.yaml", "  - {id: x, user: x, subject: CN=x, issuer: lost.pem}\n"), "users.yaml", 4, "lost.pem"},
	{"users: an issuer that is no CA", more("users.yaml", "  - {id: x, user: x, subject: CN=x, issuer: server.pem}\n"), "users.yaml", 4, "server.pem"},
	{"users: a reserved name", more("users.yaml", "  - {id: x, user: Default, subject: CN=x, issuer: ca.pem}\n"), "users.yaml", 4, "Default"},
	{"users: an id twice", more("users.yaml", "  - {id: alice, user: x, subject: CN=x, issuer: ca.pem}\n"), "users.yaml", 4, "alice"},
	{"users: a conflict", more("users.yaml", "  - {id: x, user: x, subject: CN=alice, issuer: ca.pem}\n"), "users.yaml", 4, "alice"},
	{"users: empty", whole("users.yaml", ""), "users.yaml", 0, "empty"},
}
