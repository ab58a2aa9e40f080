//go:build linux

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/haproxymap"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/nginxconf"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// importedProduct is a program whose configuration names users, and its import.
type importedProduct struct {
	product int               // index of products
	conf    string            // with @LISTEN@; it answers 200 with the user
	files   map[string]string // beside it
	maps    []string          // --map
	read    func(in *importer.Import, folder string) error
	users   int // certificates that the source names at least
	carried int // certificates with the same user here at least
}

// fewCertificates are the certificates for all but the first row of a program.
var fewCertificates = []string{"alice", "bob", "carol", "mallory", "orders", "partner", "nul-cn", "two-cns", "untrusted", "reserved-default"}

var importedProducts = map[string]importedProduct{
	"nginx": {product: 0, users: 20, carried: 8, conf: nginxServer(`map $ssl_client_s_dn $who {
    default "";
    "CN=alice,OU=Staff,O=Acme"                      alice;
    "cn=CAROL,OU=Staff,O=Acme"                      carol;
    "CN=bob,OU=Staff,O=Acme"                        "old bob";
    "CN=mallory,OU=Staff,O=Acme"                    "";
    "CN=orders,OU=Services,O=Acme"                  orders-api;
    "CN=partner,O=Partner"                          partner;
    "CN=localhost, O=Acme"                          never;
    ~^CN=(?<cn>[^,]+),OU=Staff,O=Acme$              $cn;
    ~CN=(?<cn>[^,]+)                                loose-$cn;
}`)},
	"nginx, every loose one": {product: 0, users: 7, carried: 6, conf: nginxServer(`map $ssl_client_s_dn $who {
    "CN=alice,OU=Staff,O=Acme"                      alice;
    ~CN=(?<cn>[^,]+)                                $cn;
}`)},
	"nginx, legacy": {product: 0, users: 5, carried: 5, conf: nginxServer(`map $ssl_client_s_dn_legacy $who {
    /O=Acme/OU=Services/CN=orders                   orders-api;
    ~^/O=Acme/OU=Staff/CN=(?<cn>[^/]+)$             $cn;
}`)},
	"nginx, SHA-1": {product: 0, users: 1, carried: 1, conf: nginxServer(`map $ssl_client_fingerprint $who {
    d8e84db2e4374b6108e405f8069842037ad0a2c2        alice;
    D8E84DB2E4374B6108E405F8069842037AD0A2C3        nobody-has-it;
}`)},
	"nginx, serial": {product: 0, users: 1, carried: 1, conf: nginxServer(`map $ssl_client_serial $who {
    65cf5c4d7c286d86005257b916b7498b                alice;
}`)},
	"nginx, a list of all who are let in": {product: 0, users: 1, carried: 1, maps: []string{"who=user", "reject=deny:1"}, conf: nginxServer(`map $ssl_client_s_dn $who {
    ~^CN=(?<cn>[^,]+),OU=Staff,O=Acme$              $cn;
}
map $ssl_client_fingerprint $reject { default 1; d8e84db2e4374b6108e405f8069842037ad0a2c2 0; }`)},
	"nginx, a list of those who are not": {product: 0, users: 4, carried: 4, maps: []string{"who=user", "reject=deny:1"}, conf: nginxServer(`map $ssl_client_s_dn $who {
    ~^CN=(?<cn>[^,]+),OU=Staff,O=Acme$              $cn;
    "CN=orders,OU=Services,O=Acme"                  orders-api;
}
map $ssl_client_s_dn $reject { "" 1; "cn=BOB,ou=staff,o=acme" 1; }`)},
	"HAProxy": haproxy("ssl_c_s_dn", `# users
 # no comment
/O=Acme/OU=Staff/CN=alice   alice
/O=Acme/OU=Staff/CN=alice   mallory
/o=acme/ou=staff/cn=bob     bob
/O=Acme/OU=Staff/CN=carol   the carol
/O=Acme/OU=Services/CN=orders	orders-api  
/CN=orders/OU=Services/O=Acme never
/O=Partner/CN=partner partner
`, 3, 2),
	"HAProxy, RFC 2253": haproxy("ssl_c_s_dn(,0,rfc2253)", `CN=alice,OU=Staff,O=Acme alice
cn=bob,OU=Staff,O=Acme bob
CN=orders,OU=Services,O=Acme orders-api
`, 2, 2),
	"HAProxy, common name": haproxy("ssl_c_s_dn(cn)", `alice alice
ALICE mallory
orders orders-api
partner partner
`, 3, 2), // HAProxy reads the name alice, NUL, .evil as alice
	"HAProxy, SHA-1": haproxy("ssl_c_sha1,hex", `D8E84DB2E4374B6108E405F8069842037AD0A2C2 alice
d8e84db2e4374b6108e405f8069842037ad0a2c2 mallory
`, 1, 1),
	"HAProxy, SHA-256": haproxy("ssl_c_der,sha2(256),hex", `9F2245B56F7431C7250D263B24AC6E70BE22088EEFF5D35A5E6F575D0B15F80B alice
daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10 bob
`, 1, 1),
	"HAProxy, serial": haproxy("ssl_c_serial,hex", `65CF5C4D7C286D86005257B916B7498B alice
47a096fb77ddcafb9f48c24b66b0a3b9 bob
`, 1, 1),
}

// haproxyServer returns a configuration whose server answers with the value of a map for a sample.
func haproxyServer(sample string) string {
	return `global
  maxconn 100
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend in
  bind @LISTEN@ ssl crt server-with-key.pem ca-file client-ca.pem verify required
  http-request return status 200 content-type text/plain lf-string "%[` + sample + `,map(source.conf)]"
`
}

func haproxy(key, text string, users, carried int) importedProduct {
	return importedProduct{product: 1, conf: haproxyServer(key), files: map[string]string{"source.conf": text}, users: users, carried: carried, read: func(in *importer.Import, dir string) error {
		return haproxymap.Read(in, []string{filepath.Join(dir, "source.conf")}, haproxymap.Options{Key: key})
	}}
}

// nginxServer returns a configuration with a map, whose server answers with its value.
func nginxServer(text string) string {
	condition := ""
	if strings.Contains(text, "$reject") {
		condition = "if ($reject) { return 403; }\n        "
	}
	return `events {}
http {
    ` + text + `
    server {
        listen @LISTEN@ ssl;
        ssl_certificate server.pem;
        ssl_certificate_key server-key.pem;
        ssl_client_certificate client-ca.pem;
        ssl_verify_client on;
        ssl_verify_depth 5;
        ` + condition + `return 200 "$who";
    }
}
`
}

// Every test certificate goes to the real program with its own configuration, and to a server with
// the imported one. The users are the same, or the certificate has no user in the result and
// the report says so. Covers T3.
func TestImportedConfigurationNamesTheSameUsers(t *testing.T) {
	testkit.SkipUnderRace(t, "an import is one goroutine, and the sources are other programs")
	t.Parallel()
	for name, row := range importedProducts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &products[row.product]
			dir := importertest.Folder(t, row.files)
			putKey(t, dir, "server-key.pem")
			out := row.importFrom(t, name, dir)
			source := row.start(t, p, dir)
			here := serveImported(t, out)
			users, same := 0, 0
			for _, c := range out.Certificates {
				if asked := strings.TrimSuffix(filepath.Base(c.File), ".pem"); name != "nginx" && name != "HAProxy" && !slices.Contains(fewCertificates, asked) {
					continue
				}
				client := pkiClient(t, filepath.Base(c.File))
				there, now := askUser(t, client, source), askUser(t, client, here)
				if there != "" {
					users++
				}
				if c.Known && there != c.Source && !isRefusedByProgram(there) {
					t.Errorf("%s: the source says %q, the report %q", filepath.Base(c.File), there, c.Source)
				}
				switch {
				case now != c.User:
					t.Errorf("%s: the server says %q, the report %q", filepath.Base(c.File), now, c.User)
				case now == there && now != "":
					same++
				case now != "":
					t.Errorf("%s: the server says %q, and the source %q", filepath.Base(c.File), now, there)
				case there != "" && out.Count(importer.NotCarried)+out.Count(importer.Changed) == 0:
					t.Errorf("%s: %q in the source, no user here, and no line is reported", filepath.Base(c.File), there)
				}
			}
			if len(out.Certificates) < 40 || users < row.users || same < row.carried {
				t.Errorf("%d certificates, %d users in the source, %d here too", len(out.Certificates), users, same)
			}
		})
	}
}

// isRefusedByProgram reports whether the program refused a certificate before its map: it is
// stricter about keys and dates than the report, which reads names alone.
func isRefusedByProgram(user string) bool { return user == "" }

// importFrom imports the configuration in a folder.
func (p *importedProduct) importFrom(t *testing.T, name, dir string) *importer.Output {
	t.Helper()
	conf := filepath.Join(dir, "source.conf")
	o := importer.Options{Format: "test", Certificates: []string{dir}, Issuers: []string{filepath.Join(dir, "client-ca.pem")}}
	if p.read == nil { // the configuration names the authority
		o.Issuers = nil
		if err := os.WriteFile(conf, []byte(p.conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := importer.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if p.read != nil {
		err = p.read(in, dir)
	} else {
		err = nginxconf.Read(in, conf, nginxconf.Options{Maps: p.maps, Each: strings.Contains(name, "every"), SameCase: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// start starts the program, and returns its URL.
func (p *importedProduct) start(t *testing.T, real *product, dir string) string {
	t.Helper()
	g := &realGateway{behind: &behind{site: &site{TB: t, dir: dir}}, product: real}
	for range 3 {
		address := testkit.FreeAddress(t)
		conf := strings.NewReplacer("@LISTEN@", address).Replace(p.conf)
		if real.name == "haproxy" {
			joined, err := os.ReadFile(filepath.Join(dir, "server.pem"))
			if err != nil {
				t.Fatal(err)
			}
			key, err := os.ReadFile(filepath.Join(dir, "server-key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "server-with-key.pem"), append(joined, key...), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if real.place != nil {
			conf = real.place(conf, dir)
		}
		file := filepath.Join(dir, "running.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		if g.launch(dir, address, real.run(file, dir)...) {
			_, port, _ := net.SplitHostPort(address)
			return "https://localhost:" + port + "/"
		}
	}
	t.Fatal("the program does not start")
	return ""
}

// serveImported serves the files of an import, and returns the URL that answers with the user.
func serveImported(t *testing.T, out *importer.Output) string {
	t.Helper()
	s := &site{TB: t, dir: t.TempDir(), handler: http.HandlerFunc(whoami)}
	for _, f := range out.Files {
		s.put(f.Name, string(f.Data))
	}
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem"} {
		putKey(t, s.dir, name)
	}
	s.put("policy.csv", "p, group:Authenticated, *, GET, /, allow\n")
	s.put("mtlsguard.yaml", `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - {name: internal, listen: "127.0.0.1:0", client_cert: require, certificate: {cert: server.pem, key: server-key.pem}, trust: {anchors: [client-ca.pem]}}
`)
	return s.start(mtlsguard.Options{}).url("internal", "/")
}

// putKey writes a file of the test certificates into a folder.
func putKey(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), file(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pkiPair returns a test certificate with its key, nil if no client of Go can hold it. It does not
// return rsa8192: the import and the programs read names, and each signature takes 0.1 s.
func pkiPair(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	if name == "rsa8192.pem" {
		return nil
	}
	pair, err := tls.X509KeyPair(file(t, name), file(t, strings.TrimSuffix(name, ".pem")+"-key.pem"))
	if err != nil {
		return nil
	}
	return &pair
}

// pkiClient returns a client with a test certificate, which it sends whatever the server asks for;
// nil without a pair.
func pkiClient(t *testing.T, name string) *http.Client {
	t.Helper()
	pair := pkiPair(t, name)
	if pair == nil {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(file(t, "server-ca.pem"))
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil }}}
	return &http.Client{Transport: transport, Timeout: testkit.Patience}
}

// askUser returns the user that a server answers with, "" if it refuses the certificate.
func askUser(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	if client == nil {
		return ""
	}
	res, err := client.Get(url)
	if err != nil {
		var refused net.Error
		if errors.As(err, &refused) && refused.Timeout() {
			t.Errorf("%s: no answer", url)
		}
		return ""
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return ""
	}
	return strings.TrimSpace(string(body))
}
