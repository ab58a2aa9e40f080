package importer_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/haproxymap"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
)

const (
	haproxyAlice     = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`
	haproxyAliceSHA1 = "D8E84DB2E4374B6108E405F8069842037AD0A2C2"
)

func TestHAProxyFiles(t *testing.T) {
	t.Parallel()
	certs := []string{"."}
	for name, row := range map[string]struct {
		text, key string
		user      string
		certs     []string
		want      []string
		not       string
	}{
		"a map":                {text: "/O=Acme/OU=Services/CN=orders  orders-api", key: "ssl_c_s_dn", want: []string{`{id: test-1, user: orders-api, subject: "CN=orders,OU=Services,O=Acme", issuer: client-ca.pem}`}},
		"with its converter":   {text: "/O=Acme/CN=a a", key: "ssl_c_s_dn,map_str(/etc/haproxy/dn.map,none)", want: []string{`subject: "CN=a,O=Acme"`}},
		"RFC 2253":             {text: "CN=a,O=Acme a\nCN=b,\\ O=Acme b", key: "ssl_c_s_dn(, 0, rfc2253)", want: []string{`user: a, subject: "CN=a,O=Acme"`}, not: "test-2,"},
		"comments, blanks":     {text: "# x y\n\n \t/O=Acme/CN=a\t a b \n #c d\n", key: "ssl_c_s_dn", want: []string{"t.map:3: \"a b\" is not a user name", "t.map:4:"}},
		"the first line":       {text: "/O=Acme/CN=a a\n/O=Acme/CN=a b", key: "ssl_c_s_dn", want: []string{"user: a,", "an earlier line has the key"}, not: "user: b"},
		"a case of its own":    {text: "/o=Acme/cn=a a\n/O=Acme/CN=b b", key: "ssl_c_s_dn", want: []string{"test-2,", "is not TYPE=VALUE"}, not: "user: a"},
		"a slash in a value":   {text: "/O=Acme/Sub/CN=a a", key: "ssl_c_s_dn", want: []string{"a slash in a value cannot be told"}},
		"a name with a blank":  {text: "/O=Acme Inc/CN=a a\n/O=Acme/CN=b b", key: "ssl_c_s_dn", want: []string{"the key of a map ends at the first blank: HAProxy looks up \"/O=Acme\""}, not: "CN=a,"},
		"a common name":        {text: "alice al", key: "ssl_c_s_dn(cn)", certs: certs, want: []string{"user: al, " + haproxyAlice, "alice.pem | al | al |"}},
		"a common name alone":  {text: "alice al", key: "ssl_c_s_dn(CN)", want: []string{"t.map:1: a common name alone names no certificate"}},
		"a SHA-1":              {text: haproxyAliceSHA1 + " al\n" + strings.ToLower(haproxyAliceSHA1) + " b", key: "ssl_c_sha1,hex", certs: certs, want: []string{"user: al, " + haproxyAlice, "as it is written there"}, not: "user: b,"},
		"a SHA-256":            {text: strings.Repeat("AB", 32) + " a", key: "ssl_c_der,sha2(256),hex", want: []string{`fingerprint: "sha256:abab`}},
		"a serial number":      {text: "65CF5C4D7C286D86005257B916B7498B a\n65cf b\n123 c", key: "ssl_c_serial,hex", want: []string{"serial: 65CF5C4D7C286D86005257B916B7498B, issuer: client-ca.pem", "1 carried, 0 changed, 2 not carried"}},
		"an acl":               {text: "/O=Acme Inc/CN=a\n# x\n/O=Acme/CN=b", key: "ssl_c_s_dn", user: "partner", want: []string{`user: partner, subject: "CN=a,O=Acme Inc"`, "id: test-3, user: partner"}},
		"an acl, a bad user":   {text: "x", key: "ssl_c_s_dn", user: "x y", want: []string{`--user: "x y" is not a user name`}},
		"no user":              {text: "/O=Acme/CN=a\n/O=Acme/CN=b b", key: "ssl_c_s_dn", want: []string{"no user: no mapping", "2 carried"}, not: "test-1"},
		"a long line":          {text: "/CN=" + strings.Repeat("a", 20000) + " x", key: "ssl_c_s_dn", want: []string{"as two"}},
		"a part of a text":     {text: "/CN=a x", key: "ssl_c_s_dn,map_reg(x.map)", want: []string{"map_reg finds a part of a text"}},
		"another expression":   {text: "/CN=a x", key: "ssl_c_i_dn", want: []string{`--key: "ssl_c_i_dn" is not read (one of ssl_c_s_dn, `}},
		"a variable of ours":   {text: "/O=Acme/CN={user} a", key: "ssl_c_s_dn", want: []string{"{user} is a part of the name there"}},
		"nothing":              {text: "# x\n", key: "ssl_c_s_dn", want: []string{"nothing that can be carried"}},
		"another authority's":  {text: "partner p", key: "ssl_c_s_dn(cn)", certs: certs, want: []string{"no certificate of --certs has it"}},
		"not its own encoding": {text: "/O=Acme/CN=J\xfcrgen j", key: "ssl_c_s_dn", want: []string{"is not UTF-8"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := importertest.Run(t, importer.Options{Issuers: []string{"client-ca.pem"}, Certificates: row.certs}, map[string]string{"t.map": row.text},
				func(in *importer.Import, names []string) error {
					return haproxymap.Read(in, names, haproxymap.Options{Key: row.key, User: row.user})
				}, "t.map")
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

func FuzzHAProxyMap(f *testing.F) {
	f.Add("/O=Acme/OU=Staff/CN=alice alice\n# x\nalice bob\n" + haproxyAliceSHA1 + " x")
	f.Add("CN=alice,OU=Staff,O=Acme\talice")
	expressions := []string{"ssl_c_s_dn", "ssl_c_s_dn(,0,rfc2253)", "ssl_c_s_dn(cn)", "ssl_c_sha1,hex", "ssl_c_der,sha2(256),hex", "ssl_c_serial,hex"}
	importertest.Fuzz(f, "t.map", func(in *importer.Import, name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return haproxymap.Read(in, []string{name}, haproxymap.Options{Key: expressions[int(info.Size())%len(expressions)]})
	})
}
