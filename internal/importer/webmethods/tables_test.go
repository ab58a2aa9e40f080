package webmethods_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"html"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// der returns a certificate of the test PKI.
func der(t *testing.T, name string) []byte {
	t.Helper()
	data, err := pki.Files.ReadFile(name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	return block.Bytes
}

func TestPathsOfServices(t *testing.T) {
	t.Parallel()
	const head = "service,path,methods\n"
	for name, row := range map[string]struct {
		table string
		want  []string
		not   string
	}{
		"a path":                 {table: head + "acme.orders:create,/orders,post\n", want: []string{"p, group:Partners, Partners, POST, /orders, allow", "p, group:Suspended, Partners, POST, /orders, deny"}, not: "/invoke/acme.orders/create"},
		"no methods":             {table: "service;path\nacme.orders:create;/orders\n", want: []string{"GET|POST, /orders, allow"}},
		"two paths":              {table: head + "acme.orders:create,/orders,POST\nacme.orders:create,/orders/{id},PUT\n", want: []string{"POST, /orders, allow", "PUT, /orders/{id}, allow"}},
		"a folder":               {table: head + "acme.orders,/orders,POST\n", want: []string{`"acme.orders" is not the name of a service`}, not: ", /orders, "},
		"an unknown service":     {table: head + "other:x,/orders,POST\n", want: []string{"the service is not in aclmap_sm.cnf, an access list or --ns"}, not: ", /orders, "},
		"in a known folder":      {table: head + "acme.other:x,/other,POST\n", want: []string{"p, group:Staff, Internal, POST, /other, allow"}},
		"another's own name":     {table: head + "acme.orders:create,/orders/{user},POST\n", want: []string{"{user} is the caller's own name in a rule"}, not: "/orders/{user}, allow"},
		"a path of invoke":       {table: head + "acme.orders:create,/invoke/acme.admin/reset,POST\n", want: []string{"the path matches other services too"}, not: "Partners, POST, /invoke"},
		"a path of all invoke":   {table: head + "acme.orders:create,/{a}/{b}/{c},POST\n", want: []string{"the path matches other services too"}, not: ", POST, /{a}"},
		"every path":             {table: head + "acme.orders:create,/*,POST\n", want: []string{"the path matches other services too"}, not: "POST, /*, allow"},
		"no path":                {table: head + "acme.orders:create,,POST\n", want: []string{"no rule can have it: the path is empty"}},
		"a method that is none":  {table: head + "acme.orders:create,/orders,BREW\n", want: []string{"no rule can have it"}, not: ", /orders, "},
		"a dot segment":          {table: head + "acme.orders:create,/orders/../admin,POST\n", want: []string{"no rule can have it"}, not: "/../admin, allow"},
		"two ACLs, one request":  {table: head + "acme.orders:create,/orders/{id},POST\nacme.catalog:list,/orders/list,POST\n", want: []string{"rest.csv:2 | <code>acme.orders:create = POST /orders/{id}</code> | a request for it may also be one for acme.catalog:list (line 3)", "rest.csv:3"}, not: "POST, /orders"},
		"by GET and HEAD":        {table: head + "acme.orders:create,/orders/{id},GET\nacme.catalog:list,/orders/*,HEAD\n", want: []string{"a request for it may also be one for acme.catalog:list"}, not: ", /orders/{id}, allow"},
		"two ACLs, two methods":  {table: head + "acme.orders:create,/orders,POST\nacme.catalog:list,/orders,GET\n", want: []string{"p, group:Partners, Partners, POST, /orders, allow", "p, group:Staff, Partners, GET, /orders, allow"}},
		"one ACL, one request":   {table: head + "acme.orders:create,/orders/{id},POST\nacme.orders:status,/orders/status,POST\n", want: []string{"POST, /orders/{id}, allow", "POST, /orders/status, allow"}},
		"one ACL, other ports":   {table: head + "acme.orders:cancel,/a/{id},POST\nacme.catalog:list,/a/b,POST\n", want: []string{"is reached by other ports"}, not: "POST, /a/b, allow"},
		"two lengths":            {table: head + "acme.orders:create,/orders,POST\nacme.catalog:list,/orders/x,POST\n", want: []string{"POST, /orders, allow", "POST, /orders/x, allow"}},
		"a denied service":       {table: head + "acme.admin:reset,/reset,POST\n", want: []string{"p, group:Everybody, Internal, POST, /reset, deny", "p, group:Everybody, Internal, *, /invoke/acme.admin/reset, deny"}},
		"no column of the paths": {table: "service,url\n", want: []string{"rest.csv:1: no column is path"}},
		"two columns alike":      {table: "service,path,path\n", want: []string{"rest.csv:1: two columns are path"}},
		"no CSV":                 {table: "service,path\n\"x", want: []string{"this is not CSV"}},
		"an empty table":         {table: "\n", want: []string{"rest.csv: the table is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := sample(t)
			files["rest.csv"] = row.table
			got := run(t, importer.Options{}, webmethods.Options{REST: "rest.csv"}, files, "instance")
			compare(t, got, row.want, row.not)
		})
	}
}

// compare reports what a result does not have, and what it should not have.
func compare(t *testing.T, got string, want []string, not string) {
	t.Helper()
	got = html.UnescapeString(got) // REPORT.md escapes characters
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("got\n%s\nwant\n%s", got, w)
		}
	}
	if not != "" && strings.Contains(got, not) {
		t.Errorf("got\n%s\nwant no %s", got, not)
	}
}

func TestCertificateMap(t *testing.T) {
	t.Parallel()
	alice, bob, partner := hex.EncodeToString(der(t, "alice")), hex.EncodeToString(der(t, "bob")), hex.EncodeToString(der(t, "partner"))
	const head = "CERT_USER,CERT_USAGE,HEX(CERT_BYTES)\n"
	const mapped = `user: alice, fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"}`
	for name, row := range map[string]struct {
		table, usage string
		external     bool
		rename       map[string]string
		want         []string
		not          string
	}{
		"hex":                      {table: head + "alice,1," + alice, usage: "1", want: []string{mapped}},
		"base64":                   {table: head + "alice,1," + base64.StdEncoding.EncodeToString(der(t, "alice")), usage: "1", want: []string{mapped}},
		"PEM":                      {table: head + "alice,1,\"" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der(t, "alice")})) + "\"", usage: "1", want: []string{mapped}},
		"semicolons, other order":  {table: "RAWTOHEX(CERT_BYTES);CERT_USAGE;ID;CERT_USER\n" + alice + ";1;7;alice", usage: "1", want: []string{mapped}},
		"the provider local":       {table: head + "local/alice,1," + alice, usage: "1", want: []string{mapped}},
		"a renamed user":           {table: head + "alice,1," + alice, usage: "1", rename: map[string]string{"alice": "al"}, want: []string{"user: al, fingerprint", "g, user:al, group:Partners"}},
		"usages in words":          {table: head + "alice,SSL Authentication," + alice + "\nbob,Verify," + bob, want: []string{mapped, "another usage than SSL authentication"}, not: "user: bob,"},
		"another usage":            {table: head + "alice,1," + alice + "\nbob,2," + bob, usage: "1", want: []string{mapped, "another usage than SSL authentication"}, not: "user: bob,"},
		"no usage named":           {table: head + "alice,1," + alice, want: []string{`which usage is SSL Authentication is not known. The table has "1" (lines: 1)`}},
		"a usage of no line":       {table: head + "alice,1," + alice, usage: "3", want: []string{`--usage: no line has the usage "3". The table has "1" (lines: 1)`}},
		"a disabled user":          {table: head + "dave,1," + alice, usage: "1", want: []string{"user: dave, fingerprint", "disabled: true"}},
		"a user without a name":    {table: head + "eve smith,1," + alice + "\nbob,1," + bob, usage: "1", want: []string{`certmap.csv:2`, `the user "eve smith" has no name here`}, not: "9f2245b5"},
		"Default":                  {table: head + "Default,1," + alice + "\nbob,1," + bob, usage: "1", want: []string{"Default is the user of callers without a certificate"}, not: "9f2245b5"},
		"a deleted user":           {table: head + "gone,1," + alice + "\nbob,1," + bob, usage: "1", want: []string{`"gone" is not a user of users.cnf`}, not: "9f2245b5"},
		"a user of LDAP":           {table: head + "ldap/jo,1," + alice, usage: "1", external: true, rename: map[string]string{"ldap/jo": "jo"}, want: []string{"user: jo, fingerprint", "the user is not in users.cnf, and in no group here"}},
		"with the name of another": {table: head + "ldap/alice,1," + alice, usage: "1", external: true, rename: map[string]string{"ldap/alice": "alice"}, want: []string{`the user "alice" has the name alice here already`}, not: "9f2245b5"},
		"two users":                {table: head + "alice,1," + alice + "\nbob,1," + alice, usage: "1", want: []string{`certmap.csv:3: the certificate is mapped to two users: "alice" and "bob"`}},
		"two certificates":         {table: head + "alice,1," + alice + "\nalice,1," + partner, usage: "1", want: []string{"id: webmethods-certmap-2", "id: webmethods-certmap-3"}},
		"an authority":             {table: head + "alice,1," + hex.EncodeToString(der(t, "client-ca")), usage: "1", want: []string{"CERT_BYTES: the certificate of an authority"}, not: "== users.yaml"},
		"no certificate":           {table: head + "alice,1,rO0ABXNy", usage: "1", want: []string{"CERT_BYTES: "}, not: "== users.yaml"},
		"no column of the usages":  {table: "CERT_USER,CERT_BYTES\nalice," + alice, usage: "1", want: []string{"certmap.csv:1: no column is cert_usage"}},
		"no users":                 {table: "CERT_USAGE,CERT_BYTES\n", want: []string{"certmap.csv:1: no column is cert_user"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := sample(t)
			files["certmap.csv"] = row.table
			got := run(t, importer.Options{Rename: row.rename}, webmethods.Options{CertMap: "certmap.csv", Usage: row.usage, ExternalUsers: row.external}, files, "instance")
			compare(t, got, row.want, row.not)
		})
	}
}
