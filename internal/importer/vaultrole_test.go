package importer_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/vaultrole"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

const (
	vaultAlice = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`
	vaultBob   = `fingerprint: "sha256:daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10"`
)

// role returns a role as Vault writes it, with the certificates of files.
func vaultRole(t testing.TB, fields string, files ...string) string {
	t.Helper()
	text := ""
	for _, f := range files {
		data, err := pki.Files.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	if fields != "" {
		fields = ", " + fields
	}
	return `{"request_id": "5a", "lease_duration": 0, "data": {"allowed_metadata_extensions": null, "token_no_default_policy": false, "token_ttl": 3600, "ocsp_ca_certificates": "", "certificate": ` + string(quoted) + fields + "}, \"warnings\": null}\n"
}

// Each row is a role web.json, and parts of the result or of the error.
func TestVaultRoles(t *testing.T) {
	t.Parallel()
	const ca = "client-ca.pem"
	certs := importer.Options{Certificates: []string{"alice.pem", "bob.pem", "orders.pem", "carol.pem", "client-sub-ca.pem", "partner.pem"}}
	for name, row := range map[string]struct {
		text    string
		options vaultrole.Options
		bare    bool // without --certs
		cased   bool // without --same-case
		rename  map[string]string
		want    []string
		not     []string
	}{
		"a URI":                   {text: vaultRole(t, `"allowed_uri_sans": ["spiffe://acme/ns/prod/sa/orders"], "display_name": "other"`, ca), want: []string{`{id: vault-1, user: web, uri: "spiffe://acme/ns/prod/sa/orders", issuer: vault-web-ca.pem}`, "| orders.pem | web | web |", "| bob.pem | no user | no user: unmapped |"}},
		"hosts":                   {text: vaultRole(t, `"allowed_dns_sans": ["a.example", "b.example"]`, ca), want: []string{"{id: vault-1, user: web, dns: a.example", "{id: vault-1-2, user: web, dns: b.example"}},
		"an address":              {text: vaultRole(t, `"allowed_email_sans": ["alice@acme.example"]`, ca), want: []string{"email: alice@acme.example, issuer: vault-web-ca.pem}", "| alice.pem | web | web |"}},
		"an address, its case":    {text: vaultRole(t, `"allowed_email_sans": ["alice@acme.example"]`, ca), cased: true, want: []string{"user: web, " + vaultAlice, "the case of a host does not count here: the certificates of --certs are written", "| alice.pem | web | web |"}, not: []string{"email:"}},
		"a host, its case":        {text: vaultRole(t, `"allowed_dns_sans": ["a.example"]`, ca), bare: true, cased: true, want: []string{"the case of a host does not count here (--same-case, if"}, not: []string{"dns:"}},
		"a URI, its case":         {text: vaultRole(t, `"allowed_uri_sans": ["spiffe://acme/x"]`, ca), cased: true, want: []string{"uri: \"spiffe://acme/x\""}},
		"two authorities":         {text: vaultRole(t, `"allowed_dns_sans": ["a.example"]`, ca, "partner-ca.pem"), want: []string{"issuer: vault-web-ca.pem", "issuer: vault-web-ca-2.pem"}},
		"two lists":               {text: vaultRole(t, `"allowed_email_sans": ["alice@acme.example", "bob@acme.example"], "allowed_common_names": ["alice", "bob"]`, ca), want: []string{"user: web, " + vaultAlice, "of which each must match: the certificates of --certs are written"}, not: []string{"email: alice", vaultBob}},
		"two lists, no certs":     {text: vaultRole(t, `"allowed_email_sans": ["alice@acme.example"], "allowed_dns_sans": ["a.example"]`, ca), bare: true, want: []string{"web.json:1: it has several lists, of which each must match (--certs FOLDER"}},
		"a glob of URIs":          {text: vaultRole(t, `"allowed_uri_sans": ["spiffe://acme/ns/prod/sa/*"]`, ca), want: []string{`user: web, uri: "spiffe://acme/ns/prod/sa/{user}"`, "is one segment here", "| orders.pem | web | web |"}},
		"a glob within":           {text: vaultRole(t, `"allowed_uri_sans": ["spiffe://acme/*/orders", "spiffe://acme/x*"]`, ca), want: []string{"stands for any text: the certificates of --certs", "user: web, fingerprint", "orders.pem"}, not: []string{"uri:"}},
		"a glob of hosts":         {text: vaultRole(t, `"allowed_dns_sans": ["*.example", "a.example"]`, ca), want: []string{"dns: a.example", `the * in "*.example" stands for any text`, "0 changed, 1 not carried"}, not: []string{`dns: "*`}},
		"common names":            {text: vaultRole(t, `"allowed_common_names": ["bo*"]`, ca), want: []string{"user: web, " + vaultBob, "no mapping has allowed"}, not: []string{vaultAlice}},
		"names":                   {text: vaultRole(t, `"allowed_names": ["*@acme.example", "carol"]`, ca), want: []string{"user: web, " + vaultAlice, "carol.pem"}, not: []string{vaultBob}},
		"units":                   {text: vaultRole(t, `"allowed_organizational_units": ["Services"]`, ca), want: []string{"orders.pem"}, not: []string{vaultAlice}},
		"everybody":               {text: vaultRole(t, "", ca), bare: true, want: []string{"every certificate of its authority may log in (unmapped: web on a port"}},
		"everybody at hand":       {text: vaultRole(t, "", ca), want: []string{"user: web, " + vaultAlice, "user: web, " + vaultBob, "| partner.pem | no user | no user"}},
		"a certificate":           {text: vaultRole(t, "", "alice.pem"), bare: true, want: []string{"user: web, " + vaultAlice}},
		"a certificate, its CA":   {text: vaultRole(t, "", "alice.pem", ca), want: []string{"user: web, " + vaultAlice, "| bob.pem | no user | no user"}, not: []string{vaultBob, "issuer:"}},
		"a certificate, not met":  {text: vaultRole(t, `"allowed_common_names": ["bob"]`, "alice.pem"), want: []string{"nothing that can be carried"}, not: []string{vaultAlice}},
		"a CA, a certificate":     {text: vaultRole(t, `"allowed_dns_sans": ["a.example"]`, ca, "alice.pem"), want: []string{"dns: a.example", "a role of its own"}, not: []string{vaultAlice}},
		"required extensions":     {text: vaultRole(t, `"required_extensions": ["2.1.1.1:x"], "allowed_dns_sans": ["a.example"]`, ca), want: []string{"required_extensions limits it too"}},
		"addresses of clients":    {text: vaultRole(t, `"token_bound_cidrs": ["10.0.0.0/8"], "allowed_dns_sans": ["a.example"]`, ca), want: []string{"token_bound_cidrs limits it too"}},
		"an unknown key":          {text: vaultRole(t, `"allowed_moons": ["full"], "allowed_dns_sans": ["a.example"]`, ca), want: []string{`what the key "allowed_moons" means is not known`}},
		"groups":                  {text: vaultRole(t, `"allowed_dns_sans": ["a.example"], "token_policies": ["web", "default", "a b"], "policies": ["old"]`, ca), options: vaultrole.Options{Groups: true}, want: []string{"g, user:web, group:web", "g, user:web, group:old", `"default" is a reserved name`, `"a b" is not a group name`}},
		"no groups":               {text: vaultRole(t, `"allowed_dns_sans": ["a.example"], "token_policies": ["web"]`, ca), want: []string{"--groups makes each a group"}, not: []string{"policy.csv"}},
		"OCSP":                    {text: vaultRole(t, `"allowed_dns_sans": ["a.example"], "ocsp_enabled": true`, ca), want: []string{"is not carried: ocsp in the trust"}},
		"a list":                  {text: "[" + vaultRole(t, `"display_name": "a", "allowed_dns_sans": ["a.example"]`, ca) + "," + vaultRole(t, `"display_name": "b", "allowed_dns_sans": ["b.example"]`, ca) + "]", want: []string{"user: a, dns: a.example", "user: b, dns: b.example", "vault-a-ca.pem"}},
		"two of a name":           {text: "[" + vaultRole(t, `"display_name": "a", "allowed_dns_sans": ["a.example"]`, ca) + "," + vaultRole(t, `"display_name": "a", "allowed_dns_sans": ["b.example"]`, ca) + "]", want: []string{`two roles are "a"`}, not: []string{"dns:"}},
		"two that become one":     {text: "[" + vaultRole(t, `"display_name": "a", "allowed_dns_sans": ["a.example"]`, ca) + "," + vaultRole(t, `"display_name": "a b", "allowed_dns_sans": ["b.example"]`, ca) + "]", rename: map[string]string{"a b": "a"}, want: []string{"user: a, dns: a.example", "another role is user a already"}, not: []string{"b.example, issuer"}},
		"no name":                 {text: "[" + vaultRole(t, `"allowed_dns_sans": ["a.example"]`, ca) + "]", want: []string{`"" is not a user name`}},
		"one host, two roles":     {text: "[" + vaultRole(t, `"display_name": "a", "allowed_dns_sans": ["a.example"]`, ca) + "," + vaultRole(t, `"display_name": "b", "allowed_dns_sans": ["a.example", "b.example"]`, ca) + "]", want: []string{"gives the same certificate to another user", "user: b, dns: b.example"}, not: []string{"dns: a.example, issuer"}},
		"a variable of ours":      {text: vaultRole(t, `"allowed_uri_sans": ["spiffe://acme/{user}", "spiffe://acme/x"]`, ca), want: []string{"{user} is a part of the name there", `uri: "spiffe://acme/x"`}},
		"a bad certificate":       {text: `{"data": {"certificate": "-----BEGIN CERTIFICATE-----"}}`, want: []string{"the certificate cannot be read"}},
		"no certificate":          {text: `{"data": {"certificate": ""}}`, want: []string{"the certificate cannot be read"}},
		"something else":          {text: `{"data": {"keys": ["web"]}}`, want: []string{"a role has no certificate (vault read"}},
		"a key twice":             {text: `{"data": {"certificate": "x", "certificate": "y"}}`, want: []string{`data has the key "certificate" twice`}},
		"a text for a list":       {text: `{"data": {"certificate": "x", "allowed_dns_sans": "a"}}`, want: []string{"dns_sans is not a list"}},
		"not JSON":                {text: `{"data": [`, want: []string{"this is not YAML"}},
		"an empty list of a list": {text: vaultRole(t, `"allowed_dns_sans": ["a.example"], "allowed_email_sans": [], "allowed_uri_sans": null`, ca), want: []string{"dns: a.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := importer.Options{Format: "vault", Rename: row.rename}
			row.options.SameCase = !row.cased
			if !row.bare {
				o.Certificates = certs.Certificates
			}
			got := importertest.Run(t, o, map[string]string{"web.json": row.text}, func(in *importer.Import, names []string) error {
				return vaultrole.Read(in, names, row.options)
			}, "web.json")
			for _, want := range row.want {
				if !strings.Contains(strings.NewReplacer("&#95;", "_", "&#42;", "*", "&#123;", "{", "&#125;", "}").Replace(got), want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			}
			for _, not := range row.not {
				if strings.Contains(got, not) {
					t.Errorf("got\n%s\nwant no %s", got, not)
				}
			}
			if strings.Contains(got, importer.ErrDefect.Error()) {
				t.Error(got)
			}
		})
	}
}

func FuzzVaultRole(f *testing.F) {
	f.Add(vaultRole(f, `"allowed_uri_sans": ["spiffe://acme/*", "x"], "token_policies": ["a"]`, "client-ca.pem"))
	f.Add("[" + vaultRole(f, `"display_name": "a", "allowed_names": ["a*c*"]`, "client-ca.pem", "alice.pem") + "," + vaultRole(f, `"display_name": "b"`, "alice.pem") + "]")
	importertest.Fuzz(f, "r.json", func(in *importer.Import, name string) error {
		return vaultrole.Read(in, []string{name}, vaultrole.Options{Groups: true})
	})
}
