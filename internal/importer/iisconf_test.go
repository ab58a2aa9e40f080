package importer_test

import (
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/iisconf"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// base64Of returns a test certificate as IIS writes it.
func iisBase64(t testing.TB, name string) string {
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

const iisAliceDigest = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`

func iisSection(attributes string, lines ...string) string {
	return `<configuration><system.webServer><security><access sslFlags="Ssl, SslNegotiateCert, SslRequireCert" /><authentication>
<iisClientCertificateMappingAuthentication ` + attributes + `>
` + strings.Join(lines, "\n") + `
</iisClientCertificateMappingAuthentication></authentication></security></system.webServer></configuration>`
}

func TestIISFiles(t *testing.T) {
	t.Parallel()
	alice, bob, carol := iisBase64(t, "alice.pem"), iisBase64(t, "bob.pem"), iisBase64(t, "carol.pem")
	on := `enabled="true"`
	one := func(lines ...string) string {
		return "<oneToOneMappings>\n" + strings.Join(lines, "\n") + "\n</oneToOneMappings>"
	}
	add := func(user, certificate, more string) string {
		return `<add userName="` + user + `" password="[enc:secret]" certificate="` + certificate + `" ` + more + ` />`
	}
	first := one(add("alice", alice, ""))
	rule := `<manyToOneMappings><add name="r" userName="all" password="secret"><rules><add certificateField="Subject" certificateSubField="O" matchCriteria="Acme*" /></rules></add></manyToOneMappings>`
	deny := strings.Replace(rule, `name="r"`, `name="r" permissionMode="Deny"`, 1)
	for name, row := range map[string]struct {
		text   string
		o      iisconf.Options
		certs  []string
		rename string
		narrow bool
		want   []string
		not    string
	}{
		"a mapping":              {text: iisSection(on, first), certs: []string{"."}, want: []string{"{id: test-4, user: alice, " + iisAliceDigest + "}  # t.xml:4\n", "1 carried, 0 changed, 0 not", "client&#95;cert: require on the port", "| alice.pem | alice | alice |"}, not: "secret"},
		"several":                {text: iisSection(on, one(add("alice", alice, ""), add("bob", bob, ""), add("carol", carol, `enabled="false"`))), want: []string{"user: alice,", "user: bob,", "disabled there: no mapping", "3 carried"}, not: "user: carol"},
		"a domain":               {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""), add("bob", bob, ""))), want: []string{"is not a user name", `--rename &#39;CONTOSO&#92;alice=NAME&#39;`}, not: "user: alice"},
		"a domain, stripped":     {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""), add("bob@contoso.example", bob, ""))), o: iisconf.Options{StripDomain: true}, certs: []string{"."}, want: []string{"user: alice,", "user: bob,"}},
		"a domain, renamed":      {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""))), o: iisconf.Options{StripDomain: true}, rename: `CONTOSO\alice`, certs: []string{"alice.pem"}, want: []string{"user: renamed,", "| alice.pem | renamed | renamed |"}},
		"two users of one":       {text: iisSection(on, one(add("alice", alice, ""), add("bob", alice, ""), add("c", carol, ""))), want: []string{"an earlier line has the same certificate", "user: c,"}, not: "user: bob"},
		"not enabled":            {text: iisSection("", first), want: []string{"t.xml:2: one-to-one mappings are not enabled"}},
		"one-to-one not enabled": {text: iisSection(on+` oneToOneCertificateMappingsEnabled="false"`, first), want: []string{"one-to-one mappings are not enabled"}},
		"no boolean":             {text: iisSection(`enabled="yes"`, first), want: []string{`enabled: "yes" is neither true nor false`}},
		"no boolean in a line":   {text: iisSection(on, one(add("alice", alice, `enabled="1"`))), want: []string{`t.xml:4: enabled: "1" is neither`}},
		"no certificate":         {text: iisSection(on, one(add("alice", "MII", ""), add("b", "", ""), add("c", bob, ""))), want: []string{"certificate: not a certificate", "user: c,", "1 carried, 0 changed, 2 not"}},
		"an authority":           {text: iisSection(on, one(add("alice", iisBase64(t, "client-ca.pem"), ""), add("c", bob, ""))), want: []string{"the certificate of an authority", "user: c,"}},
		"a rule":                 {text: iisSection(on, rule, first), certs: []string{"alice.pem", "bob.pem"}, want: []string{"user: alice,", "a rule names certificates by parts of their names", "1 carried, 0 changed, 1 not", "| bob.pem | not known | no user: unmapped |"}},
		"a rule that is off":     {text: iisSection(on+` manyToOneCertificateMappingsEnabled="false"`, deny, first), want: []string{"user: alice,", "1 carried, 0 changed, 0 not"}},
		"a disabled rule":        {text: iisSection(on, strings.Replace(deny, `name="r"`, `name="r" enabled="false"`, 1), first), want: []string{"user: alice,", "disabled there"}},
		"a rule that denies":     {text: iisSection(on, deny, first), want: []string{"t.xml:3: leaving this line out would let a caller in: the rule refuses certificates"}},
		"the same, narrow":       {text: iisSection(on, deny, first), narrow: true, want: []string{"a denial that is not carried may refuse the certificate"}, not: "users.yaml"},
		"an element taken away":  {text: iisSection(on, one(add("alice", alice, ""), `<remove certificate="x" />`)), want: []string{"t.xml:5: leaving this line out would let a caller in: the element may take a mapping away"}},
		"cleared before":         {text: iisSection(on, one("<clear />", add("alice", alice, ""))), want: []string{"user: alice,"}},
		"cleared after":          {text: iisSection(on, one(add("alice", alice, ""), "<clear />", add("bob", bob, ""))), certs: []string{"alice.pem"}, want: []string{"user: bob,", "taken away by &lt;clear /&gt;", "| alice.pem | no user | no user"}, not: "user: alice"},
		"cleared in two lists":   {text: iisSection(on, one(add("alice", alice, "")), one("<clear />", add("bob", bob, ""))), want: []string{"user: bob,"}, not: "user: alice"},
		"two domains":            {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""), add(`FABRIKAM\alice`, bob, ""), add("carol", carol, ""))), o: iisconf.Options{StripDomain: true}, want: []string{"user: carol,", "may be another person", "1 carried, 0 changed, 2 not"}, not: "user: alice"},
		"two domains, renamed":   {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""), add(`FABRIKAM\alice`, bob, ""))), o: iisconf.Options{StripDomain: true}, rename: `FABRIKAM\alice`, want: []string{"user: alice,", "user: renamed,", "2 carried"}},
		"one account twice":      {text: iisSection(on, one(add(`CONTOSO\alice`, alice, ""), add(`Contoso\Alice`, bob, ""))), o: iisconf.Options{StripDomain: true}, want: []string{"user: alice,", "user: Alice,"}},
		"an unknown attribute":   {text: iisSection(on, one(add("alice", alice, `xdt:Transform="Remove"`), add("bob", bob, ""))), want: []string{"user: bob,", "what the attribute \"transform\" means is not known"}, not: "user: alice"},
		"a list elsewhere":       {text: iisSection(on+` configSource="x.config"`, first), want: []string{"a part of the section is in \"x.config\""}},
		"rules elsewhere":        {text: iisSection(on, first, `<manyToOneMappings configSource="x.config" />`), want: []string{"leaving this line out would let a caller in"}},
		"an inherited denial":    {text: "<configuration>" + iisSection(on, deny) + "<location path=\"A\">" + iisSection(on, first) + "</location></configuration>", o: iisconf.Options{Location: "A"}, want: []string{"leaving this line out would let a caller in: the rule refuses"}},
		"inherited, turned off":  {text: "<configuration>" + iisSection(on+` oneToOneCertificateMappingsEnabled="false"`) + "<location path=\"A\">" + iisSection("", first) + "</location></configuration>", o: iisconf.Options{Location: "A"}, want: []string{"one-to-one mappings are not enabled"}},
		"inherited, turned on":   {text: "<configuration>" + iisSection(on) + "<location path=\"A/b\">" + iisSection("", first) + "</location><location path=\"A\">" + iisSection("", one(add("bob", bob, ""))) + "</location></configuration>", o: iisconf.Options{Location: "A/b"}, want: []string{"user: alice,", "the mappings of the location \"A\" count for this one too"}, not: "user: bob"},
		"other cases":            {text: strings.ToUpper(iisSection(on, "")) + "", want: []string{"nothing that can be carried"}},
		"two locations":          {text: "<configuration><location path=\"A\">" + iisSection(on, first) + "</location><location path=\"B\">" + iisSection(on, first) + "</location></configuration>", want: []string{`several locations have mappings: "A", "B" (--location PATH`}},
		"one of two":             {text: "<configuration><location path=\"A\">" + iisSection(on, first) + "</location><location path=\"B\">" + iisSection(on, one(add("bob", bob, ""))) + "</location></configuration>", o: iisconf.Options{Location: "b"}, want: []string{"user: bob,"}, not: "user: alice"},
		"no such location":       {text: iisSection(on, first), o: iisconf.Options{Location: "x"}, want: []string{`no location has the path "x"`}},
		"nothing":                {text: "<configuration/>", want: []string{"the file has no iisClientCertificateMappingAuthentication"}},
		"no XML":                 {text: "<a><b></a>", want: []string{"t.xml:1: this is not XML"}},
		"a document type":        {text: `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`, want: []string{"t.xml:1: a document type is not read"}},
		"an entity":              {text: "<a>&x;</a>", want: []string{"this is not XML"}},
		"another encoding":       {text: `<?xml version="1.0" encoding="utf-16"?><a/>`, want: []string{"the file is not UTF-8"}},
		"depth":                  {text: strings.Repeat("<a>", 100), want: []string{"too many in one another"}},
		"an attribute twice":     {text: `<a b="1" B="2"/>`, want: []string{"the attribute \"b\" twice"}},
		"a byte order mark":      {text: "\uFEFF" + iisSection(on, first), want: []string{"user: alice,"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := importer.Options{Issuers: []string{"client-ca.pem"}, Certificates: row.certs, Narrow: row.narrow}
			if row.rename != "" {
				o.Rename = map[string]string{row.rename: "renamed"}
			}
			got := importertest.Run(t, o, map[string]string{"t.xml": row.text}, func(in *importer.Import, names []string) error {
				return iisconf.Read(in, names[0], row.o)
			}, "t.xml")
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

func FuzzIISConf(f *testing.F) {
	f.Add(iisSection(`enabled="true"`, `<oneToOneMappings><add userName="CONTOSO\alice" certificate="`+iisBase64(f, "alice.pem")+`"/></oneToOneMappings>`))
	f.Add(iisSection(`enabled="true"`, `<manyToOneMappings><add name="x" permissionMode="Deny"/></manyToOneMappings>`))
	importertest.Fuzz(f, "t.xml", func(in *importer.Import, name string) error {
		return iisconf.Read(in, name, iisconf.Options{StripDomain: in.Narrow()})
	})
}
