//go:build linux

package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

const apacheConf = `ServerRoot "@RUN@"
PidFile "@RUN@/httpd.pid"
ErrorLog "@RUN@/error.log"
Listen @LISTEN@
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule authn_core_module /usr/lib/apache2/modules/mod_authn_core.so
LoadModule authn_file_module /usr/lib/apache2/modules/mod_authn_file.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule authz_host_module /usr/lib/apache2/modules/mod_authz_host.so
LoadModule authz_user_module /usr/lib/apache2/modules/mod_authz_user.so
LoadModule authz_groupfile_module /usr/lib/apache2/modules/mod_authz_groupfile.so
LoadModule auth_basic_module /usr/lib/apache2/modules/mod_auth_basic.so
LoadModule headers_module /usr/lib/apache2/modules/mod_headers.so
<VirtualHost *>
    ServerName localhost
    DocumentRoot "@RUN@/site"
    SSLEngine on
    SSLCertificateFile server.pem
    SSLCertificateKeyFile server-key.pem
    SSLCACertificateFile client-ca.pem
    SSLVerifyClient require
    SSLVerifyDepth 5
    SSLOptions +FakeBasicAuth
    Header always set X-User "expr=%{REMOTE_USER}"
    <Location /who>
        AuthType Basic
        AuthName who
        AuthBasicProvider file
        AuthUserFile users
        AuthGroupFile groups
        Require valid-user
    </Location>
    <Location /orders>
        AuthType Basic
        AuthName orders
        AuthUserFile users
        AuthGroupFile groups
        Require group staff
        Require user "/O=Acme/OU=Services/CN=orders"
    </Location>
    <Location /orders/secret>
        Require all denied
    </Location>
    <Location /orders/more>
        Require valid-user
    </Location>
    <Location /ops/>
        AuthType Basic
        AuthName ops
        AuthUserFile users
        AuthGroupFile groups
        <RequireAny>
            Require group ops
            Require expr "%{SSL_CLIENT_S_DN_CN} == 'mallory'"
        </RequireAny>
    </Location>
    <Location /ops/few>
        Require user "/O=Acme/OU=Staff/CN=alice"
    </Location>
    <Location /both>
        AuthType Basic
        AuthName both
        AuthUserFile users
        AuthGroupFile groups
        <RequireAll>
            Require group staff
            Require group ops
        </RequireAll>
    </Location>
</VirtualHost>
`

const apacheUsers = `# users
/O=Acme/OU=Staff/CN=alice:xxj31ZMTZzkVA
 /O=Acme/OU=Staff/CN=bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
/O=Acme/OU=Staff/CN=carol:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1
/O=Acme/OU=Services/CN=orders:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1:more
/O=Acme/OU=Staff/CN=mallory:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=
/O=Acme/OU=Staff/CN=mallory:xxj31ZMTZzkVA
/o=acme/ou=staff/cn=no-eku:xxj31ZMTZzkVA
/O=Acme/OU=Staff/CN=alice\x00.evil:xxj31ZMTZzkVA
/O=Partner/CN=partner:xxj31ZMTZzkVA
CN=rsa2048,OU=Staff,O=Acme:xxj31ZMTZzkVA
`

const apacheGroups = `staff: "/O=Acme/OU=Staff/CN=alice" /O=Acme/OU=Staff/CN=carol \
  /O=Acme/OU=Staff/CN=mallory
staff : /O=Acme/OU=Staff/CN=bob
ops: '/O=Acme/OU=Staff/CN=alice' /O=Acme/OU=Services/CN=orders
`

// Every test certificate goes to a real Apache httpd, on several paths, and to a server with the
// imported users and rules. mtlsguard lets in no caller that httpd refuses, the users are the same,
// and a difference is reported. Covers T2, T3.
func TestImportedFakeBasicAuthOfApache(t *testing.T) {
	testkit.SkipUnderRace(t, "an import is one goroutine, and the source is another program")
	t.Parallel()
	dir := importertest.Folder(t, map[string]string{"users": apacheUsers, "groups": apacheGroups, "apache.conf": apacheConf})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"users", "groups"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	putKey(t, dir, "server-key.pem")
	in, err := importer.New(importer.Options{Format: "test", Certificates: []string{dir}})
	if err == nil {
		err = apacheconf.Read(in, filepath.Join(dir, "apache.conf"), apacheconf.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}
	var real *product
	for i := range products {
		if products[i].name == "apache" {
			real = &products[i]
		}
	}
	conf := importedProduct{conf: strings.ReplaceAll(apacheConf, "@RUN@", dir)}
	there := strings.TrimSuffix(conf.start(t, real, dir), "/")
	s := &site{TB: t, dir: t.TempDir(), handler: http.HandlerFunc(whoami)}
	for _, f := range out.Files {
		s.put(f.Name, string(f.Data))
	}
	for _, name := range []string{"server.pem", "server-key.pem", "client-ca.pem"} {
		putKey(t, s.dir, name)
	}
	s.put("mtlsguard.yaml", `users: users.yaml
policy: policy.csv
reload: 0
ports:
  - {name: internal, listen: "127.0.0.1:0", client_cert: require, certificate: {cert: server.pem, key: server-key.pem}, trust: {anchors: [client-ca.pem]}}
`)
	live := s.start(mtlsguard.Options{})
	notCarried := []string{"/both", "/ops/x", "/ops/"} // the report says so
	both := 0
	for _, c := range out.Certificates {
		file := filepath.Base(c.File)
		paths := []string{"/who", "/orders", "/orders/7", "/orders/secret/x", "/orders/more/x", "/ordersX", "/ops/", "/ops", "/ops/x", "/ops/few", "/both", "/"}
		if !slices.Contains(fewCertificates, strings.TrimSuffix(file, ".pem")) {
			paths = paths[:2]
		}
		client := pkiClient(t, file)
		if client == nil {
			continue
		}
		for _, path := range paths {
			user, source := askApache(client, there+path)
			now := askUser(t, client, live.url("internal", path))
			switch {
			case now != "" && source == "":
				t.Errorf("%s %s: %q here, and refused by httpd", file, path, now)
			case now != "" && now != c.User:
				t.Errorf("%s %s: %q here, and %q in the report", file, path, now, c.User)
			case now != "" && !strings.HasSuffix(user, "/CN="+now):
				t.Errorf("%s %s: %q here, and %q in httpd", file, path, now, user)
			case now == "" && source != "" && user != "" && c.User != "" && !slices.Contains(notCarried, path):
				t.Errorf("%s %s: %q in httpd, refused here", file, path, user)
			case now != "":
				both++
			}
		}
	}
	if len(out.Certificates) < 40 || both < 15 || out.Count(importer.NotCarried) < 3 {
		t.Errorf("%d certificates, %d requests allowed by both, %d lines not carried", len(out.Certificates), both, out.Count(importer.NotCarried))
	}
}

// askApache returns the user of a request, and a status of httpd that means that it was allowed.
func askApache(client *http.Client, url string) (user, allowed string) {
	response, err := client.Get(url)
	if err != nil {
		return "", ""
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	switch response.StatusCode {
	case http.StatusOK, http.StatusNotFound: // the file does not exist
		return response.Header.Get("X-User"), response.Status
	}
	return "", ""
}
