package importer_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/nginxconf"
)

const (
	nginxAliceSHA1 = "d8e84db2e4374b6108e405f8069842037ad0a2c2"
	nginxAlice     = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`
	nginxStaff     = `~^CN=(?<cn>[^,]+),OU=Staff,O=Acme$ $cn;`
)

// who returns a configuration whose map from a variable has some lines, from line 2 on.
func nginxWho(variable string, lines ...string) string {
	return "map " + variable + " $who {\n" + strings.Join(lines, "\n") + "\n}\nssl_client_certificate client-ca.pem;\n"
}

func TestNginxMaps(t *testing.T) {
	t.Parallel()
	dn := func(lines ...string) string { return nginxWho("$ssl_client_s_dn", lines...) }
	certs := importer.Options{Certificates: []string{"."}}
	narrow := importer.Options{Certificates: []string{"."}, Narrow: true}
	reject := "\nmap $ssl_client_fingerprint $reject { default 1; " + nginxAliceSHA1 + " 0; }\n"
	for name, row := range map[string]struct {
		conf    string
		options importer.Options
		o       nginxconf.Options
		files   map[string]string
		want    []string
		not     string
	}{
		"exact":                     {conf: dn(`default "";`, `"CN=alice,OU=Staff,O=Acme" alice;`), want: []string{`{id: test-3, user: alice, subject: "CN=alice,OU=Staff,O=Acme", issuer: client-ca.pem}`, "2 carried, 0 changed, 0 not"}},
		"escapes":                   {conf: dn(`"CN=partner\, Inc.,O=J\C3\BCrgen" "partner";`), want: []string{`user: partner, subject: "CN=partner\\, Inc.,O=Jürgen"`}},
		"quotes, comments":          {conf: dn(`# "CN=x" y;`, `'CN=a\\\"b,O=Acme' alice; CN=c,O=Acme carol; # end`), want: []string{`subject: "CN=a\\\"b,O=Acme"`, "{id: test-3-2, user: carol"}},
		"the case of the name":      {conf: dn(`"cn=ALICE,ou=staff,o=acme" alice;`), options: certs, want: []string{`subject: "CN=alice,OU=Staff,O=Acme"`, `subject: "CN=ALICE,OU=staff,O=acme"`, "alice.pem | alice | alice |"}},
		"a key with blanks":         {conf: dn(`"CN=alice, OU=Staff" alice;`, `"CN=b,O=Acme" b;`), want: []string{"test-3,", "the line matches no certificate there"}, not: "test-2,"},
		"a keyword of others":       {conf: dn(`"E=a@b.example,CN=a" alice;`), want: []string{"t.conf:2: OpenSSL does not write a subject so"}},
		"a set":                     {conf: dn(`"CN=a+OU=b,O=Acme" alice;`), want: []string{"t.conf:2: an RDN of several attributes"}},
		"a variable as a name":      {conf: dn(`"CN={user},O=Acme" alice;`), want: []string{"t.conf:2: {user} is a part of the name there"}},
		"a user with a blank":       {conf: dn(`"CN=alice,OU=Staff,O=Acme" "old alice";`, nginxStaff), want: []string{`user: not-carried, subject: "CN=alice,OU=Staff,O=Acme", issuer: client-ca.pem, disabled: true`, `user: "{user}", subject: "CN={user},OU=Staff,O=Acme"`, "--rename &#39;old alice=NAME&#39;"}},
		"nobody":                    {conf: dn(`"CN=alice,OU=Staff,O=Acme" "";`, nginxStaff), options: certs, o: nginxconf.Options{SameCase: true}, want: []string{"disabled: true", "alice.pem | no user | no user: unmapped", "carol.pem | carol | carol |"}},
		"no certificate":            {conf: dn(`"" "";`, nginxStaff), want: []string{"{user}", "1 carried, 1 changed, 0 not"}},
		"no certificate, guest":     {conf: dn(`"" guest;`, nginxStaff), want: []string{"strict: false on the port", "0 carried, 1 changed, 1 not"}},
		"nobody in any case":        {conf: dn(`"CN=alice,OU=Staff,O=Acme" "";`, nginxStaff), want: []string{"t.conf:2: leaving this line out would let a caller in: a name that differs from this key in case alone", "--same-case"}},
		"nobody, narrow":            {conf: dn(`"CN=alice,OU=Staff,O=Acme" "";`, `"CN=b,O=Acme" b;`, nginxStaff), options: narrow, want: []string{"user: b,", "disabled: true"}, not: "{user}"},
		"nobody, elsewhere":         {conf: dn(`"CN=alice,OU=Other,O=Acme" "";`, `CN=x,O=Acme "";`, `CN=x+OU=Staff,O=Acme "";`, nginxStaff), want: []string{"t.conf:4: leaving this line out would let a caller in: the line comes before the patterns, and an RDN"}},
		"nobody without case":       {conf: dn(`"CN=1234,OU=Staff,O=Acme" "";`, nginxStaff), want: []string{`subject: "CN=1234,OU=Staff,O=Acme", issuer: client-ca.pem, disabled: true`, "{user}"}},
		"nobody in lower case":      {conf: dn(`"cn=eve,ou=staff,o=acme" "";`, nginxStaff), o: nginxconf.Options{SameCase: true}, want: []string{`subject: "CN=eve,OU=staff,O=acme", issuer: client-ca.pem, disabled: true`, `subject: "CN=eve,OU=Staff,O=Acme", issuer: client-ca.pem, disabled: true`}},
		"a pattern after two":       {conf: dn(`~CN=x $1;`, nginxStaff, `~^CN=[^,]+,OU=Staff,O=Acme$ s;`), options: importer.Options{Narrow: true}, want: []string{"t.conf:4: an earlier line that is not carried", "t.conf:3: an earlier line"}},
		"a variable as a value":     {conf: dn(`"CN=alice,OU=Staff,O=Acme" $remote_user;`, nginxStaff), want: []string{"disabled: true", "the value has a variable"}},
		"a default user":            {conf: dn("default guest;", `"CN=b,O=Acme" b;`), want: []string{"unmapped: guest on the port", "0 changed, 1 not carried"}},
		"a fixed user":              {conf: dn(`~^CN=[^,]+,OU=Robots,O=Acme$ robot;`), want: []string{`user: robot, subject: "CN={user},OU=Robots,O=Acme"`}},
		"groups, lazy":              {conf: dn(`~^CN=(.+?),OU=Staff,O=Acme$ $1;`), want: []string{`user: "{user}", subject: "CN={user},OU=Staff,O=Acme"`}},
		"escaped literals":          {conf: dn(`"~^CN=(?P<u>[^,]*),O=A\\\\\\, Inc\\.$" ${u};`), want: []string{`subject: "CN={user},O=A\\, Inc."`}},
		"a captured name, renamed":  {conf: dn(nginxStaff), options: importer.Options{Certificates: []string{"."}, Rename: map[string]string{"alice": "al", "Bob B": "bb", "a+b": "c"}}, want: []string{`{id: test-2-2, user: bb, subject: "CN=Bob B,OU=Staff,O=Acme", issuer: client-ca.pem}`, `user: al, subject: "CN=alice,OU=Staff,O=Acme"`, "| alice.pem | al | al |", "| carol.pem | carol | carol |", "no line of the source names \"a+b\""}},
		"renamed, and exact":        {conf: dn(`"CN=alice,OU=Staff,O=Acme" bob;`, nginxStaff), options: importer.Options{Certificates: []string{"."}, Rename: map[string]string{"alice": "al"}}, want: []string{`user: bob, subject: "CN=alice,OU=Staff,O=Acme"`, "| alice.pem | bob | bob |"}, not: "user: al,"},
		"renamed, and nobody":       {conf: dn(`"CN=alice,OU=Staff,O=Acme" "";`, nginxStaff), o: nginxconf.Options{SameCase: true}, options: importer.Options{Certificates: []string{"."}, Rename: map[string]string{"alice": "al"}}, want: []string{"disabled: true", "| alice.pem | no user | no user"}, not: "user: al,"},
		"renamed, and denied":       {conf: dn(nginxStaff) + "map $ssl_client_s_dn $no { \"CN=alice,OU=Staff,O=Acme\" 1; }", o: nginxconf.Options{SameCase: true, Maps: []string{"who=user", "no=deny:1"}}, options: importer.Options{Certificates: []string{"."}, Rename: map[string]string{"alice": "al"}}, want: []string{"disabled: true", "| alice.pem | no user | no user"}, not: "user: al,"},
		"depth and revocation":      {conf: dn(nginxStaff) + "ssl_verify_depth 2; ssl_crl a.crl; ssl_ocsp leaf;", want: []string{"- ssl&#95;verify&#95;depth 2 is not read: trust: &#123;max&#95;depth: …&#125;", "- ssl&#95;crl is not read", "- ssl&#95;ocsp is not read"}},
		"no depth":                  {conf: dn(nginxStaff) + "ssl_ocsp off;", want: []string{"without ssl&#95;verify&#95;depth nginx"}, not: "ssl&#95;ocsp"},
		"no case":                   {conf: dn(`~*^cn=([^,]+),ou=Staff,o=Acme$ $1;`), want: []string{`subject: "CN={user},OU=Staff,O=Acme"`, "0 carried, 1 changed", "upper and lower case count here"}},
		"the legacy form":           {conf: nginxWho("$ssl_client_s_dn_legacy", "/O=Acme/OU=Staff/CN=alice alice;", "~^/O=Acme/OU=Staff/CN=(?<cn>[^/]+)$ $cn;", "/O=Acme/x/CN=b b;"), want: []string{`user: alice, subject: "CN=alice,OU=Staff,O=Acme"`, `subject: "CN={user},OU=Staff,O=Acme"`, "a slash in a value cannot be told"}},
		"a serial number":           {conf: nginxWho("$ssl_client_serial", "65cf5c4d7c286d86005257b916b7498b alice;", "0G x;", "123 x;"), want: []string{"serial: 65CF5C4D7C286D86005257B916B7498B, issuer: client-ca.pem", "1 carried, 0 changed, 2 not carried"}},
		"a SHA-1":                   {conf: nginxWho("$ssl_client_fingerprint", nginxAliceSHA1+" alice;"), options: certs, want: []string{`user: alice, ` + nginxAlice + "}  # t.conf:2, alice.pem"}},
		"a SHA-1 of no certificate": {conf: nginxWho("$ssl_client_fingerprint", nginxAliceSHA1+" alice;"), want: []string{"t.conf:2: a SHA-1 does not name a certificate safely"}},
		"a SHA-256":                 {conf: nginxWho("$ssl_client_fingerprint", strings.Repeat("ab", 32)+" alice;"), want: []string{"as it is written there, and matches no certificate"}},
		"another authority":         {conf: nginxWho("$ssl_client_fingerprint", "3b3d6c0a9c1c0e5d0a8a5e1bb2b9f7a1b9b5a5cc x;", nginxAliceSHA1+" alice;"), options: certs, want: []string{"user: alice"}},

		"not anchored":            {conf: dn(`~CN=(?<cn>[^,]+) $cn;`), want: []string{`t.conf:2: it is not anchored: a certificate with the subject "UID=CN=alice,CN=mallory,O=Elsewhere" is user "alice" there`}},
		"not anchored, with all":  {conf: dn(`"CN=bob,OU=Staff,O=Acme" bob;`, `~CN=(?<cn>[^,]+) $cn;`), options: certs, want: []string{"certificates in --certs it names", "--each writes them one by one"}, not: "test-3"},
		"each":                    {conf: dn(`~CN=(?<cn>[^,]+) $cn;`), options: certs, o: nginxconf.Options{Each: true}, want: []string{"{id: test-2, user: alice, " + nginxAlice, "alice.pem | alice | alice |", "partner.pem | no user | no user"}},
		"an open end":             {conf: dn(`~^CN=(?<cn>[^,]+),OU=Staff $cn;`), want: []string{`its end is not anchored: a certificate with the subject "CN=alice,OU=Staff,O=Elsewhere" is user "alice" there`}},
		"an open beginning":       {conf: dn(`~OU=Staff,O=Acme$ staff;`), want: []string{`its beginning is not anchored: a certificate with the subject`}},
		"a part of a value":       {conf: dn(`~^CN=user-(?<cn>[^,]+),O=Acme$ $cn;`), want: []string{"not the whole value of one attribute"}},
		"a part of two":           {conf: dn(`~^(?<cn>.+),O=Acme$ $cn;`), want: []string{"t.conf:2: "}},
		"fewer characters":        {conf: dn(`~^CN=([a-z]+),O=Acme$ $1;`), want: []string{"accepts fewer names"}},
		"one character":           {conf: dn(`~^CN=([^,]),O=Acme$ $1;`), want: []string{"accepts fewer names"}},
		"two open values":         {conf: dn(`~^CN=([^,]+),OU=[^,]+,O=Acme$ $1;`), want: []string{"more than one value open"}},
		"a longer value":          {conf: dn(`~^CN=([^,]+),O=Acme$ x-$1;`), want: []string{"not the captured text alone"}},
		"alternatives":            {conf: dn(`~^CN=(alice|bob),O=Acme$ $1;`), want: []string{"not understood"}},
		"a loose one before":      {conf: dn(`~CN=(?<cn>[^,]+) $cn;`, nginxStaff), want: []string{"t.conf:2: leaving this line out would let a caller in: this pattern decides there before line 3"}},
		"a loose one after":       {conf: dn(nginxStaff, `~CN=(?<cn>[^,]+) $cn;`), want: []string{"0 carried, 1 changed, 1 not carried"}},
		"a denial before":         {conf: dn(`~^CN=bob, "";`, nginxStaff), want: []string{"t.conf:2: leaving this line out"}},
		"a denial before, narrow": {conf: dn(`"CN=b,O=Acme" b;`, `~^CN=bob, "";`, nginxStaff), options: narrow, want: []string{"user: b,"}, not: "{user}"},
		"a denial elsewhere":      {conf: dn(`~,OU=Guests,O=Acme$ "";`, nginxStaff), want: []string{`user: "{user}"`}},
		"a denial after":          {conf: dn(nginxStaff, `~^CN=bob "";`), want: []string{`user: "{user}"`, "1 carried, 1 changed, 0 not"}},

		"an include":            {conf: dn("include sub/*.map;"), files: map[string]string{"sub/a.map": `"CN=a,O=Acme" a;`, "sub/b.map": "# no\n\"CN=b,O=Acme\" b;"}, want: []string{"{id: test-a-1, user: a,", "{id: test-b-2, user: b,"}},
		"an include that fails": {conf: dn("include gone.map;", `"CN=a,O=Acme" a;`), want: []string{"t.conf:2: leaving this line out would let a caller in", "copy the file into the folder"}},
		"an include outside":    {conf: dn("include ../x.map;", `"CN=a,O=Acme" a;`), want: []string{"t.conf:2: leaving this line out would let a caller in"}},
		"an include of itself":  {conf: "include t.conf;", want: []string{"include one another"}},
		"host names":            {conf: dn("hostnames;", nginxStaff), want: []string{"wildcards for host names"}},

		"several maps":     {conf: dn(nginxStaff) + reject, want: []string{"several maps of a client certificate: $who from $ssl_client_s_dn (line 1), $reject", "--map"}},
		"a switch":         {conf: dn(`"CN=a,O=Acme" 1;`, "default 0;"), want: []string{"t.conf:1: the values of $who are not user names", "--map who=allow:1 --user NAME"}},
		"an allow":         {conf: dn(`"CN=a,O=Acme" 1;`, `"CN=b,O=Acme" 0;`, "default 0;"), o: nginxconf.Options{Maps: []string{"$who=allow:1"}, User: "partner"}, want: []string{`user: partner, subject: "CN=a,O=Acme"`, `user: not-carried, subject: "CN=b,O=Acme"`}},
		"an allow of all":  {conf: dn(`"CN=b,O=Acme" 0;`, "default 1;"), o: nginxconf.Options{Maps: []string{"$who=allow:1"}, User: "partner"}, want: []string{"unmapped: partner on the port"}},
		"listed":           {conf: dn(`"CN=bob,OU=Staff,O=Acme" bob;`, nginxStaff) + reject, options: certs, o: nginxconf.Options{Maps: []string{"who=user", "$reject=deny:1"}}, want: []string{"user: alice, " + nginxAlice, "bob.pem | no user | no user"}, not: "user: bob"},
		"listed, unknown":  {conf: dn(nginxStaff) + reject, o: nginxconf.Options{Maps: []string{"$who=user", "$reject=deny:1"}}, want: []string{"no certificate of --certs is let in by this line; $reject lets only the certificates in that it lists"}},
		"a list of denied": {conf: dn(`"CN=bob,OU=Staff,O=Acme" bob;`, nginxStaff) + "map $ssl_client_fingerprint $bad { " + nginxAliceSHA1 + " yes; }", options: certs, o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"user: not-carried, " + nginxAlice + ", disabled: true", "alice.pem | no user | no user: unmapped", "carol.pem | carol | carol |"}},
		"denied by subject": {conf: dn(`"CN=bob,OU=Staff,O=Acme" bob;`, `"CN=carol,OU=Staff,O=Acme" carol;`) + `map $ssl_client_s_dn_legacy $bad { /O=Acme/OU=Staff/CN=bob yes; }`, options: certs,
			o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"another map refuses the certificate", "bob.pem | no user | no user: unmapped", "carol.pem | carol | carol |"}},
		"denied without one": {conf: dn(nginxStaff) + `map $ssl_client_s_dn $bad { "" yes; }`, o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"{user}", "0 not carried"}},
		"denied in another case": {conf: dn(`"CN=alice,OU=Staff,O=Acme" a;`, `"CN=z,O=Acme" z;`) + `map $ssl_client_s_dn $bad { "cn=ALICE,ou=Staff,o=acme" yes; }`,
			o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"another map refuses the certificate", "user: z"}, not: "user: a,"},
		"denied later": {conf: nginxWho("$ssl_client_fingerprint", nginxAliceSHA1+" alice;") + `map $ssl_client_s_dn $bad { "CN=alice,OU=Staff,O=Acme" yes; "CN=bob,OU=Staff,O=Acme" yes; }`, options: certs,
			o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"$bad refuses by subject, which comes after the fingerprint here"}},
		"a denied pattern": {conf: dn(nginxStaff) + `map $ssl_client_s_dn $bad { ~^CN=a yes; }`, options: certs, o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}}, want: []string{"leaving this line out would let a caller in: a pattern that refuses"}},
		"a denied pattern, narrow": {conf: dn(nginxStaff) + `map $ssl_client_s_dn $bad { ~^CN=a yes; }`, options: narrow, o: nginxconf.Options{Maps: []string{"$who=user", "$bad=deny:yes"}},
			want: []string{"user: bob, fingerprint", "alice.pem | no user | no user: unmapped"}, not: "user: alice"},

		"two authorities":  {conf: dn(`"CN=alice,OU=Staff,O=Acme" a;`, `"CN=z,O=Acme" z;`), options: importer.Options{Certificates: []string{"."}, Issuers: []string{"partner-ca.pem", "client-ca.pem"}}, want: []string{"user: a,", "issuer: client-ca.pem", "it is not known which of the 2 authorities"}},
		"no authority":     {conf: `map $ssl_client_s_dn $who { "CN=a,O=Acme" a; }`, want: []string{"no issuer is known"}},
		"an absolute one":  {conf: `ssl_client_certificate /nowhere/ca.pem; map $ssl_client_s_dn $who { "CN=a,O=Acme" a; }`, want: []string{"no issuer is known"}},
		"not verified":     {conf: dn(`"CN=a,O=Acme" a;`) + "ssl_verify_client optional_no_ca;", want: []string{"a certificate that anyone made"}},
		"no map":           {conf: "map $host $x { default 1; }", want: []string{"no map of a client certificate"}},
		"an unknown map":   {conf: dn(nginxStaff), o: nginxconf.Options{Maps: []string{"$x=user"}}, want: []string{"there is no map of a client certificate to $x"}},
		"an unknown role":  {conf: dn(nginxStaff), o: nginxconf.Options{Maps: []string{"$who=maybe"}}, want: []string{"--map: \"$who=maybe\""}},
		"no user":          {conf: dn(nginxStaff), o: nginxconf.Options{Maps: []string{"$who=deny:1"}}, want: []string{"no map names the user"}},
		"two users":        {conf: dn(nginxStaff), o: nginxconf.Options{Maps: []string{"$who=user", "$who=allow:1"}, User: "x"}, want: []string{"two maps name the user"}},
		"a bad user":       {conf: dn(nginxStaff), o: nginxconf.Options{Maps: []string{"$who=allow:1"}, User: "x y"}, want: []string{`--user: "x y" is not a user name`}},
		"an open block":    {conf: "map $ssl_client_s_dn $who {\n", want: []string{"the file ends inside"}},
		"an open quote":    {conf: dn(`"CN=a`), want: []string{"a quote is not closed"}},
		"a key twice":      {conf: dn(`"CN=a,O=Acme" a;`, `"cn=A,O=Acme" b;`), want: []string{`t.conf:3: the map has the key "cn=A,O=Acme" twice`}},
		"a word too many":  {conf: dn("a b c;"), want: []string{"t.conf:2: a line of a map is a key and a value"}},
		"a block in a map": {conf: dn("a { b c; }"), want: []string{"a block in a map"}},
		"a brace":          {conf: "}", want: []string{"unexpected }"}},
		"blocks in blocks": {conf: strings.Repeat("a {", 100), want: []string{"more than 32 blocks"}},
		"Lua":              {conf: "content_by_lua_block { if a then }", want: []string{"a block of Lua"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"t.conf": row.conf}
			for name, text := range row.files {
				files[name] = text
			}
			got := importertest.Run(t, row.options, files, func(in *importer.Import, names []string) error { return nginxconf.Read(in, names[0], row.o) }, "t.conf")
			for _, want := range row.want {
				if !strings.Contains(got, want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			if row.not != "" && strings.Contains(got, row.not) {
				t.Errorf("got\n%s\nwant no %s", got, row.not)
			}
			if strings.Contains(got, importer.ErrDefect.Error()) {
				t.Error(got)
			}
		})
	}
}

func FuzzNginxConf(f *testing.F) {
	f.Add(nginxWho("$ssl_client_s_dn", `default "";`, `"CN=alice,OU=Staff,O=Acme" alice;`, nginxStaff, `~CN=(?<cn>[^,]+) $cn;`))
	f.Add(nginxWho("$ssl_client_fingerprint", nginxAliceSHA1+" alice;"))
	f.Add(nginxWho("$ssl_client_s_dn_legacy", `~^/O=Acme/OU=Staff/CN=(.+)$ $1;`, "hostnames;", "include x;"))
	f.Add(nginxWho("$ssl_client_serial", "65CF5C4D7C286D86005257B916B7498B a;", `~*^6\d.*[^,]$ "";`))
	importertest.Fuzz(f, "t.conf", func(in *importer.Import, name string) error {
		return nginxconf.Read(in, name, nginxconf.Options{Each: true})
	})
}
