package importer_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/apacheconf"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
)

const (
	apacheFiles = "AuthType Basic\nAuthUserFile users\nAuthGroupFile groups\n"
	apacheHead  = "SSLVerifyClient require\nSSLCACertificateFile client-ca.pem\nSSLOptions +FakeBasicAuth +StdEnvVars\n"
	apacheUsers = `# comment
  /O=Acme/OU=Staff/CN=alice:xxj31ZMTZzkVA
/O=Acme/OU=Staff/CN=bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
/O=Acme/OU=Staff/CN=carol:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=
/O=Acme/OU=Services/CN=orders:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1
`
	apacheGroups = `staff: "/O=Acme/OU=Staff/CN=alice" /O=Acme/OU=Staff/CN=bob \
  /O=Acme/OU=Services/CN=orders /O=Acme/OU=Staff/CN=carol
ops : /O=Acme/OU=Staff/CN=alice
`
	apacheStaffOnOrders = "p, group:staff, *, *, /orders, allow\np, group:staff, *, *, /orders/*, allow\n"
)

// site returns Location sections that share their users.
func apacheSite(sections ...string) string { return apacheHead + strings.Join(sections, "\n") + "\n" }

func apacheSection(path string, lines ...string) string {
	return "<Location " + path + ">\n" + apacheFiles + strings.Join(lines, "\n") + "\n</Location>"
}

func TestApacheConfigurations(t *testing.T) {
	t.Parallel()
	staff := apacheSection("/orders", "Require group staff")
	for name, row := range map[string]struct {
		conf, users, groups string
		host                string
		certs               []string
		rename              string
		narrow              bool
		want                []string
		not                 string
	}{
		"a Location": {conf: apacheSite(staff), want: []string{
			`{id: test-users-2, user: alice, subject: "CN=alice,OU=Staff,O=Acme", issuer: client-ca.pem}`, "user: bob,", "user: orders,",
			apacheStaffOnOrders, "g, user:alice, group:staff\n", "g, user:orders, group:staff\n", "alice  *  GET  /orders  allow\n",
			"users:4 | <code>/O=Acme/OU=Staff/CN=carol:…</code> | <code>no user: the password"}, not: "user:carol"},
		"two paths":             {conf: apacheSite(staff, apacheSection("/ops/", "Require group ops")), want: []string{apacheStaffOnOrders, "p, group:ops, *, *, /ops/*, allow\n", "bob  *  GET  /ops/  deny\n"}, not: "/ops, allow"},
		"of everything":         {conf: apacheSite(apacheSection("/", "Require group staff")), want: []string{"p, group:staff, *, *, /*, allow"}},
		"users":                 {conf: apacheSite(apacheSection("/x", "Require user /O=Acme/OU=Staff/CN=bob '/O=Acme/OU=Staff/CN=carol' nobody")), want: []string{"p, user:bob, *, *, /x, allow", "alice  *  GET  /x  deny"}, not: "p, group:"},
		"every user":            {conf: apacheSite(apacheSection("/x", "Require valid-user")), want: []string{"p, group:valid-user, *, *, /x, allow", "g, user:orders, group:valid-user"}},
		"an alternative":        {conf: apacheSite(apacheSection("/x", "Require ip 127.0.0.1", "<RequireAny>", "Require group ops", "</RequireAny>")), want: []string{"p, group:ops,", "the requirement is not read"}, not: "deny\n"},
		"all of several":        {conf: apacheSite(staff, apacheSection("/x", "<RequireAll>", "Require group ops", "Require ip 127.0.0.1", "</RequireAll>", "Require user x")), want: []string{apacheStaffOnOrders, "the effect of \"&#60;RequireAll&#62;\" on it is not read"}, not: "/x,"},
		"an expression":         {conf: apacheSite(staff, apacheSection("/x", `Require expr "%{SSL_CLIENT_S_DN_O} == 'Acme'"`)), want: []string{apacheStaffOnOrders, "the requirement is not read"}, not: "/x,"},
		"not":                   {conf: apacheSite(staff, apacheSection("/x", "Require not group ops")), want: []string{"the requirement is not read"}, not: "/x,"},
		"everybody":             {conf: apacheSite(staff, apacheSection("/x", "Require all granted")), want: []string{"everybody is let in"}, not: "/x,"},
		"nobody":                {conf: apacheSite(staff, apacheSection("/x", "Require all denied")), want: []string{"no user: no rule", "alice  *  GET  /x  deny"}, not: "/x,"},
		"nobody, inside":        {conf: apacheSite(staff, apacheSection("/orders/a", "Require all denied")), want: []string{apacheStaffOnOrders, "p, group:Everybody, *, *, /orders/a, deny\np, group:Everybody, *, *, /orders/a/*, deny\n"}},
		"nobody, and somebody":  {conf: apacheSite(staff, apacheSection("/orders/a", "Require all denied"), apacheSection("/orders/a/b", "Require group staff")), want: []string{apacheStaffOnOrders, "/orders/a/*, deny", "refuses everybody, and here a denial wins"}, not: "/b, allow"},
		"nobody, then somebody": {conf: apacheSite(staff, apacheSection("/orders/a", "Require all denied"), apacheSection("/orders/a", "Require valid-user")), want: []string{apacheStaffOnOrders, "p, group:valid-user, *, *, /orders/a, allow", "comes later, and decides in its place"}, not: ", deny\n"},
		"fewer inside":          {conf: apacheSite(staff, apacheSection("/orders/a", "Require group ops")), want: []string{"&#60;Location /orders/a&#62; is inside of it", "p, group:ops, *, *, /orders/a, allow"}, not: "/orders, allow"},
		"more inside":           {conf: apacheSite(staff, apacheSection("/orders/a", "Require group ops staff")), want: []string{apacheStaffOnOrders, "p, group:ops, *, *, /orders/a, allow"}},
		"inside, not carried":   {conf: apacheSite(staff, apacheSection("/orders/a", "Require expr true")), want: []string{"is inside of it"}, not: "/orders, allow"},
		"inside, before":        {conf: apacheSite(apacheSection("/orders/a", "Require group ops"), staff), want: []string{apacheStaffOnOrders, "comes later, and decides in its place"}, not: "group:ops, *"},
		"inherited":             {conf: apacheSite(staff, "<Location /orders/a>\nRequire group staff ops\n</Location>"), want: []string{apacheStaffOnOrders, "p, group:ops, *, *, /orders/a, allow"}},
		"other users inside":    {conf: apacheSite(staff, "<Location /orders/a>\nAuthUserFile others\n</Location>"), want: []string{"is inside of it"}, not: "p, "},
		"other users":           {conf: apacheSite(staff, "<Location /b>\nAuthType Basic\nAuthUserFile others\nRequire valid-user\n</Location>"), want: []string{apacheStaffOnOrders, "another AuthUserFile"}, not: "/b,"},
		"no groups":             {conf: apacheSite(staff, "<Location /b>\nAuthType Basic\nAuthUserFile users\nRequire group staff\n</Location>"), want: []string{apacheStaffOnOrders, "another AuthUserFile or AuthGroupFile"}, not: "/b,"},
		"not FakeBasicAuth":     {conf: apacheSite(staff, apacheSection("/b", "SSLOptions -FakeBasicAuth", "Require group staff"), apacheSection("/c", "SSLOptions StdEnvVars", "Require group staff")), want: []string{"/orders, allow", "are not those of FakeBasicAuth"}, not: "/b,"},
		"another provider":      {conf: apacheSite(staff, apacheSection("/b", "AuthBasicProvider ldap", "Require group staff"), apacheSection("/c", "AuthType Digest", "AuthType Basic", "Require group staff")), want: []string{"are not those of FakeBasicAuth"}, not: "/b,"},
		"no FakeBasicAuth":      {conf: strings.Replace(apacheSite(staff), "+Fake", "-Fake", 1), want: []string{"no Location requires a user of FakeBasicAuth (SSLOptions"}},
		"no certificates":       {conf: strings.Replace(apacheSite(staff), "require\n", "none\n", 1), want: []string{"no SSLVerifyClient: httpd requests no certificate"}},
		"anybody's":             {conf: strings.Replace(apacheSite(staff), "require\n", "optional_no_ca\n", 1), want: []string{"a certificate that anyone made is any user there"}},
		"in a Location":         {conf: strings.Replace(apacheSite(apacheSection("/a", "SSLVerifyClient require", "Require group staff")), "require\n", "none\n", 1), want: []string{"p, group:staff, *, *, /a, allow"}},
		"a denial of addresses": {conf: apacheSite(staff, apacheSection("/b", "Deny from 10.0.0.1", "Require group staff"), apacheSection("/b/c", "Require group staff")), want: []string{apacheStaffOnOrders, "limits it, and is not carried"}, not: "/b, "},
		"SSLRequire":            {conf: apacheSite(staff, `<Directory />`, `SSLRequire %{SSL_CIPHER} ne "x"`, `</Directory>`), want: []string{"t.conf:11: leaving this line out would let a caller in: it is in <directory>, and may hold in Locations too"}},
		"SSLRequire, narrow":    {conf: apacheSite(staff, "<Directory />\nSSLRequire x\nRequire all denied\n</Directory>"), narrow: true, want: []string{"a condition that is not read may limit it", "user: alice,"}, not: "p, "},
		"a pattern of paths":    {conf: apacheSite(staff, "<LocationMatch ^/orders/.*x>\nRequire all denied\n</LocationMatch>"), want: []string{"leaving this line out would let a caller in: it is in <locationmatch>"}},
		"wildcards":             {conf: apacheSite(staff, "<Location /orders/*/x>\nRequire all denied\n</Location>"), want: []string{"t.conf:10: leaving this line out would let a caller in: its path is not a plain path"}},
		"an If":                 {conf: apacheSite(staff, "<If \"true\">\nRequire all denied\n</If>"), want: []string{"leaving this line out would let a caller in: it is in <if>"}},
		"an If of something":    {conf: apacheSite(staff, "<If \"true\">\nHeader set a b\n</If>\n<Files .ht*>\nRequire all denied\n</Files>"), want: []string{apacheStaffOnOrders}},
		"conditions":            {conf: apacheSite("<IfModule mod_ssl.c>", staff, "</IfModule>", "<IfModule mod_status.c>\n<Location /orders/s>\nRequire group ops\n</Location>\n</IfModule>\n<IfDefine X>\n</IfDefine>"), want: []string{"the effect of \"&#60;IfModule mod&#95;status.c&#62;\" on it is not read", "is inside of it"}, not: "p, "},
		"a condition":           {conf: apacheSite(staff, "<IfDefine X>", apacheSection("/orders/x", "Require all denied"), "</IfDefine>"), want: []string{"it is in <ifdefine>, which is not read"}},
		"limits":                {conf: apacheSite(staff, apacheSection("/x", "<Limit GET>", "Require group ops", "</Limit>", "Require group staff")), want: []string{apacheStaffOnOrders, "the effect of \"&#60;Limit GET&#62;\""}, not: "/x,"},
		"a variable":            {conf: apacheSite(staff, apacheSection("/x", "Require group ${G}")), want: []string{"the effect of"}, not: "/x,"},
		"one host of two":       {conf: apacheHead + "<VirtualHost *:443>\nServerName a.example\n" + staff + "\n</VirtualHost>\n<VirtualHost *:444>\nServerName b.example\n</VirtualHost>", host: "a.example", want: []string{apacheStaffOnOrders}},
		"two hosts":             {conf: apacheHead + "<VirtualHost *:443>\nServerName a.example\n" + staff + "\n</VirtualHost>\n<VirtualHost *:444>\nServerName b.example\n</VirtualHost>", want: []string{"several VirtualHosts: *:443 a.example, *:444 b.example (--host"}},
		"revocation":            {conf: "SSLCARevocationCheck chain\nSSLOCSPEnable off\n" + apacheSite(staff), want: []string{"- SSLCARevocationCheck is not read: crls and ocsp"}, not: "SSLOCSP"},
		"no such host":          {conf: apacheSite(staff), host: "x", want: []string{`no VirtualHost has the address or the ServerName "x"`}},
		"an include":            {conf: apacheSite("Include more.conf\nIncludeOptional none*.conf"), want: []string{"p, group:ops, *, *, /more, allow"}},
		"an include outside":    {conf: apacheSite(staff, "Include ../x.conf"), want: []string{"leaving this line out would let a caller in: the file is not in the folder"}},
		"a loop":                {conf: "Include t.conf", want: []string{"include one another"}},
		"users outside":         {conf: strings.ReplaceAll(apacheSite(staff), "AuthUserFile users", "AuthUserFile ../users"), want: []string{`"../users" is not a file in the folder`}},
		"users beside":          {conf: strings.ReplaceAll(apacheSite(staff), "AuthUserFile users", "AuthUserFile /etc/apache2/users"), want: []string{apacheStaffOnOrders}},
		"no end":                {conf: apacheHead + "<Location /x>\n", want: []string{"t.conf:4: <location> is not closed"}},
		"no beginning":          {conf: apacheHead + "</Location>\n", want: []string{"t.conf:4: </location> closes no section"}},
		"a quote":               {conf: apacheHead + "AuthName \"x\n", want: []string{"t.conf:4: this is not a directive"}},
		"depth":                 {conf: strings.Repeat("<Location /a>\n", 50), want: []string{"sections in too many sections"}},
		"joined lines":          {conf: apacheSite("<Location /orders>\nRequire \\\n  group \\\n staff\n" + apacheFiles + "</Location>"), want: []string{apacheStaffOnOrders}},
		"a user twice":          {conf: apacheSite(staff), users: apacheUsers + "/O=Acme/OU=Staff/CN=carol:xxj31ZMTZzkVA\n", want: []string{"an earlier line has the user"}, not: "user:carol"},
		"one name twice":        {conf: apacheSite(staff), users: apacheUsers + "/O=Partner/CN=alice:xxj31ZMTZzkVA\n", want: []string{"another line is user \"alice\" too", "a member is not carried"}, not: "user: alice,"},
		"renamed":               {conf: apacheSite(staff), users: apacheUsers + "/O=Partner/CN=alice:xxj31ZMTZzkVA\n", rename: "/O=Partner/CN=alice", want: []string{"user: alice,", `user: renamed, subject: "CN=alice,O=Partner"`, "g, user:alice, group:staff"}},
		"no user name":          {conf: apacheSite(staff), users: apacheUsers + "/O=Acme/CN=old carol:xxj31ZMTZzkVA\n", want: []string{`"old carol" is not a user name`}},
		"no common name":        {conf: apacheSite(staff), users: apacheUsers + "/O=Acme/OU=x:xxj31ZMTZzkVA\n/CN=a/CN=b:xxj31ZMTZzkVA\n", want: []string{"its subject has no common name, or several", "--rename /O=Acme/OU=x=NAME"}},
		"a slash in a value":    {conf: apacheSite(staff), users: apacheUsers + "/O=Acme/Sub/CN=x:xxj31ZMTZzkVA\n", want: []string{"its subject has no common name, or several"}},
		"an unknown hash":       {conf: apacheSite(staff), users: apacheUsers + "/O=Acme/CN=x:$2y$05$abc\n", want: []string{"it is not known whether the hash is of password"}, not: "2y"},
		"a password":            {conf: apacheSite(staff), users: apacheUsers + "dave:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1\n", want: []string{"this user logs in with a password"}},
		"a long line":           {conf: apacheSite(staff), users: "/CN=" + strings.Repeat("a", 9000) + ":x\n", want: []string{"users:1: a line of more than 8190 bytes"}},
		"no group line":         {conf: apacheSite(staff), groups: "staff alice\n", want: []string{"groups:1: this is not a line of an AuthGroupFile"}},
		"a name of a group":     {conf: apacheSite(staff), groups: apacheGroups + "\"a b\": /O=Acme/OU=Staff/CN=bob\nDefault: /O=Acme/OU=Staff/CN=bob", want: []string{"is not a group name", "is a reserved name"}},
		"certificates":          {conf: apacheSite(staff), certs: []string{"."}, want: []string{"| alice.pem | alice | alice |", "| mallory.pem | no user | no user: unmapped |"}},
		"a group valid-user":    {conf: apacheSite(apacheSection("/x", "Require valid-user"), staff), groups: apacheGroups + "valid-user: /O=Acme/OU=Staff/CN=bob\n", want: []string{"has the name valid-user"}, not: "/x,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := map[string]string{"t.conf": row.conf, "users": apacheUsers, "groups": apacheGroups, "more.conf": apacheSection("/more", "Require group ops")}
			if row.users != "" {
				all["users"] = row.users
			}
			if row.groups != "" {
				all["groups"] = row.groups
			}
			o := importer.Options{Certificates: row.certs, Narrow: row.narrow}
			if row.rename != "" {
				o.Rename = map[string]string{row.rename: "renamed"}
			}
			got := importertest.Run(t, o, all, func(in *importer.Import, names []string) error {
				return apacheconf.Read(in, names[0], apacheconf.Options{Host: row.host})
			}, "t.conf")
			for _, want := range row.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			if row.not != "" && strings.Contains(got, row.not) {
				t.Errorf("got\n%s\nwant no %s", got, row.not)
			}
		})
	}
}

// The file is its own AuthUserFile and AuthGroupFile too.
func FuzzApacheConf(f *testing.F) {
	own := strings.NewReplacer("AuthUserFile users", "AuthUserFile t.conf", "AuthGroupFile groups", "AuthGroupFile t.conf")
	f.Add(own.Replace(apacheSite(apacheSection("/orders", "Require group staff"), apacheSection("/orders/a", "Require valid-user"), "# users")) + "/O=Acme/OU=Staff/CN=alice:xxj31ZMTZzkVA")
	f.Add(own.Replace(apacheSite(apacheSection("/", "Require group SSLOptions\nRequire all denied"), apacheSection("/x", "Require user /O=Acme/OU=Staff/CN=bob"))))
	importertest.Fuzz(f, "t.conf", func(in *importer.Import, name string) error {
		return apacheconf.Read(in, name, apacheconf.Options{})
	})
}
