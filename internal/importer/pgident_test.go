package importer_test

import (
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/pgident"
)

const pgAlice = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`

func TestPgIdentLines(t *testing.T) {
	t.Parallel()
	const exact, expression = `m "CN=alice,OU=Staff,O=Acme" alice`, `m "/^CN=([^,]+),OU=Staff,O=Acme$" \1`
	const pattern = `{id: test-1, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}`
	files := map[string]string{"more.conf": "m CN=b b\n", "d/1.conf": "m CN=c c", "d/2.txt": "m CN=d,O=x d", "d/.3.conf": "m CN=d,O=x d", "loop.conf": "include loop.conf"}
	for name, row := range map[string]struct {
		text   string
		o      pgident.Options // ClientName "": DN
		certs  []string
		rename string
		narrow bool
		want   []string
		not    string
	}{
		"a line":                      {text: exact, want: []string{`{id: test-1, user: alice, subject: "CN=alice,OU=Staff,O=Acme", issuer: client-ca.pem}  # t.conf:1`, "1 carried, 0 changed, 0 not"}},
		"comments, blanks, CRLF":      {text: "# m a b\r\n\r\n \t" + exact + " # x\r\n#c \\\r\nm a b\r\n", want: []string{"id: test-3,", "1 carried, 0 changed, 0 not"}},
		"more words":                  {text: exact + " bob carol", want: []string{"user: alice,", "1 carried, 0 changed, 0 not"}},
		"joined lines":                {text: "m \\\n \"CN=alice,OU=\\\nStaff,O=Acme\" alice\nm CN=x \\", want: []string{"t.conf:4: a line is a map, a system user and a user"}},
		"joined, well":                {text: "m \\\n \"CN=alice,OU=\\\nStaff,O=Acme\" alice \\", want: []string{`subject: "CN=alice,OU=Staff,O=Acme"`, "id: test-1,"}},
		"quotes":                      {text: `"m" CN"=a,b"" c,O=x" "al"ice`, want: []string{`"b\" c,O=x" is not TYPE=VALUE`}},
		"quotes, well":                {text: `"m" CN"=a b,O"=x "al"ice`, want: []string{`user: alice, subject: "CN=a b,O=x"`}},
		"a quote without its end":     {text: `m "CN=a,O=x a`, want: []string{"a line is a map, a system user"}},
		"a comma":                     {text: exact + "\nm CN=a,O=x a", want: []string{"t.conf:2: a field has several values", "pg_ident_file_mappings"}, not: "users.yaml"},
		"two words":                   {text: exact + "\nm CN=a", want: []string{"t.conf:2: a line is a map"}, not: "users.yaml"},
		"a long word":                 {text: exact + "\nm " + strings.Repeat("a", 10240) + " a", want: []string{"t.conf:2: a word is longer than 10239 bytes"}},
		"a NUL":                       {text: exact + "\nm a\x00b c", want: []string{"t.conf:2: the line has a NUL"}},
		"words of a file":             {text: exact + "\nm @more.conf b\nm \"@x\" b", want: []string{`| t.conf:2 |`, "stands for the words of a file", "1 carried, 0 changed, 2 not"}},
		"case counts":                 {text: exact + "\nm \"cn=alice,OU=Staff,O=Acme\" b", want: []string{"OpenSSL does not write a subject so"}, not: "user: b"},
		"another order":               {text: exact + "\nm \"O=Acme,OU=Staff,CN=bob\" b", want: []string{`user: b, subject: "O=Acme,OU=Staff,CN=bob"`}},
		"two users":                   {text: exact + "\nm \"CN=alice,OU=Staff,O=Acme\" bob\n" + `m "CN=a,O=b" a`, want: []string{"line 2 gives the same certificate to another user", "1 carried, 0 changed, 2 not"}, not: "id: test-1"},
		"not a user name":             {text: exact + "\nm CN=a \"old a\"", want: []string{`"old a" is not a user name`}},
		"renamed":                     {text: `m "CN=a,O=b" "old a"`, rename: "old a", want: []string{"user: renamed,"}},
		"every user":                  {text: exact + "\nm CN=a all\nm CN=a \"all\"\nm CN=b +r\nm CN=b /x", want: []string{"\"all\" names many users", "id: test-3, user: all,", "\"+r\" names", "\"/x\" names"}, not: "id: test-2,"},
		"one of two maps":             {text: exact + "\nn CN=b b", o: pgident.Options{Map: "n"}, want: []string{`user: b, subject: "CN=b"`, "the maps m are not read"}, not: "alice"},
		"two maps":                    {text: exact + "\nn \"CN=b\" b", want: []string{"the file has several maps: m, n (--map NAME"}},
		"no such map":                 {text: exact, o: pgident.Options{Map: "x"}, want: []string{`the file has no map "x" (the maps are m)`}},
		"nothing":                     {text: "# x\n", want: []string{"nothing that can be carried"}},
		"an expression":               {text: expression, want: []string{pattern, "0 carried, 1 changed, 0 not", "it names only users"}},
		"any text":                    {text: `m "/^CN=(.*),OU=Staff,O=Acme$" \1`, want: []string{pattern}},
		"a fixed user":                {text: `m "/^CN=[^,]+,OU=Staff,O=Acme$" staff`, want: []string{`user: staff, subject: "CN={user},OU=Staff,O=Acme"`}},
		"fewer characters":            {text: exact + "\n" + `m "/^CN=([a-z]+),OU=Staff,O=Acme$" \1`, want: []string{"it accepts fewer names than a pattern here"}, not: "{user}"},
		"no beginning":                {text: exact + "\n" + `m "/CN=([^,]+),OU=Staff,O=Acme$" \1`, want: []string{"its beginning is not anchored"}, not: "{user}"},
		"no end":                      {text: exact + "\n" + `m "/^CN=([^,]+),OU=Staff,O=Acme" \1`, want: []string{"its end is not anchored"}, not: "{user}"},
		"a part of the user":          {text: exact + "\n" + `m "/^CN=([^,]+),OU=Staff,O=Acme$" app_\1`, want: []string{"its user is not the captured text alone"}, not: "{user}"},
		"another capture":             {text: exact + "\n" + `m "/^CN=[^,]+,OU=(Staff),O=([^,]+)$" \1`, want: []string{"the regular expression is not understood"}, not: "{user}"},
		"a named capture":             {text: exact + "\n" + `m "/^CN=(?<cn>[^,]+),OU=Staff,O=Acme$" x`, want: []string{"the regular expression is not understood"}, not: "{user}"},
		"alternatives":                {text: exact + "\n" + `m "/^CN=(a|b),OU=Staff,O=Acme$" \1`, want: []string{"the regular expression is not understood"}, not: "{user}"},
		"no capture":                  {text: `m "/^CN=x" \1` + "\n" + exact, want: []string{"t.conf:1: leaving this line out would let a caller in: the expression may match without a text for"}},
		"perhaps no capture":          {text: `m "/^CN=x|(y)" \1` + "\n" + exact, want: []string{"t.conf:1: leaving this line out"}},
		"no capture, narrow":          {text: "m CN=a a\nm /^CN=x \\1\n" + exact, narrow: true, want: []string{"user: a,", "line 2 may refuse its certificates", "1 carried, 0 changed, 2 not"}, not: "user: alice"},
		"each":                        {text: `m "/^CN=([a-z]+),OU=Staff" \1`, o: pgident.Options{Each: true}, certs: []string{"alice.pem", "orders.pem", "partner.pem"}, want: []string{"user: alice, " + pgAlice, "Of the 3 certificates in --certs it names 1 that no exact line does: only these are written", "| alice.pem | alice | alice |", "| orders.pem | no user | no user"}},
		"each, nobody":                {text: exact + "\n" + `m "/^CN=([a-z]+),OU=Guests" \1`, o: pgident.Options{Each: true}, certs: []string{"alice.pem"}, want: []string{"it names 0", "1 carried, 0 changed, 1 not"}},
		"not each":                    {text: exact + "\n" + `m "/^CN=([a-z]+),OU=Staff" \1`, certs: []string{"alice.pem", "bob.pem"}, want: []string{"Of the 2 certificates in --certs it names 1", "--each writes them one by one"}, not: "user: bob"},
		"each, a part of the user":    {text: `m "/^CN=([^,]+),OU=Staff,O=Acme$" app_\1`, o: pgident.Options{Each: true}, certs: []string{"alice.pem"}, want: []string{"user: app_alice, " + pgAlice}},
		"several users of one":        {o: pgident.Options{Each: true}, text: exact + "\n" + `m "/^CN=([^,]+),OU=Staff,O=Acme$" app_\1`, certs: []string{"alice.pem"}, want: []string{"| alice.pem | alice or app&#95;alice | alice |"}},
		"a common name":               {text: "m alice al\nm ALICE b", o: pgident.Options{ClientName: "CN"}, certs: []string{"alice.pem", "partner.pem"}, want: []string{"user: al, " + pgAlice, "no certificate of --certs has it", "| alice.pem | al | al |"}},
		"a common name alone":         {text: "m alice al", o: pgident.Options{ClientName: "CN"}, want: []string{"t.conf:1: a common name alone names no certificate"}},
		"an expression of a CN":       {text: "m alice al\nm /^(.*)$ \\1", o: pgident.Options{ClientName: "CN"}, certs: []string{"alice.pem"}, want: []string{"a part of a common name names no certificate", "Of the 1 certificates in --certs it names 0"}},
		"an expression of a CN, each": {text: "m /^(.*)$ \\1", o: pgident.Options{ClientName: "CN", Each: true}, certs: []string{"alice.pem", "partner.pem", "bob.pem"}, rename: "bob", want: []string{"user: alice, " + pgAlice, "user: renamed,", "| partner.pem | no user | no user"}},
		"another clientname":          {text: exact, o: pgident.Options{ClientName: "dn"}, want: []string{`--clientname: "dn" (CN or DN`}},
		"includes":                    {text: "include more.conf\ninclude_dir d\ninclude_if_exists none.conf\n" + exact, want: []string{"user: b,", "user: c,", "user: alice,", "t.conf:3", "is not in the folder", "3 carried, 0 changed, 1 not"}, not: "user: d"},
		"a loop":                      {text: "include loop.conf", want: []string{"include one another"}},
		"out of the folder":           {text: exact + "\ninclude ../t.conf\ninclude /etc/passwd\ninclude_dir /etc", want: []string{"1 carried, 0 changed, 3 not"}},
		"an unknown include":          {text: exact + "\ninclude_all x", want: []string{"t.conf:2: a line is a map"}},
		"a map of this name":          {text: "include \"CN=a,O=b\" c", want: []string{"user: c"}},
		"a variable of ours":          {text: exact + "\n" + `m "CN={user},O=b" a`, want: []string{"&#123;user&#125; is a part of the name there"}},
		"not its own encoding":        {text: exact + "\nm CN=J\xfcrgen j", want: []string{"1 carried, 0 changed, 1 not"}},
		"an empty map name":           {text: `"" CN=a a`, want: []string{"user: a"}},
		"text of Markdown":            {text: "m CN=a|b` a\n" + exact, want: []string{"&#124;"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := map[string]string{"t.conf": row.text}
			for name, text := range files {
				all[name] = text
			}
			if row.o.ClientName == "" {
				row.o.ClientName = "DN"
			}
			o := importer.Options{Issuers: []string{"client-ca.pem"}, Certificates: row.certs, Narrow: row.narrow}
			if row.rename != "" {
				o.Rename = map[string]string{row.rename: "renamed"}
			}
			got := importertest.Run(t, o, all, func(in *importer.Import, names []string) error { return pgident.Read(in, names[0], row.o) }, "t.conf")
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

func FuzzPgIdent(f *testing.F) {
	f.Add("# x\npartners \"CN=alice,OU=Staff,O=Acme\" alice\npartners \"/^CN=([^,]+),OU=Staff,O=Acme$\" \\1")
	f.Add("m alice al\nm /^(.*)$ \\1\nm \"a\"\"b\" c\ninclude x\nm \\\n bob bob")
	importertest.Fuzz(f, "t.conf", func(in *importer.Import, name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		o := pgident.Options{ClientName: []string{"DN", "CN"}[info.Size()%2], Each: info.Size()%3 == 0}
		return pgident.Read(in, name, o)
	})
}
