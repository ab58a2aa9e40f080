package importer_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/kongyaml"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

const (
	kongAlice = `fingerprint: "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"`
	kongBob   = `fingerprint: "sha256:daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10"`
	kongAuth  = `{name: mtls-auth, config: {ca_certificates: [ca-1]}}`
)

// authority returns an element of ca_certificates.
func kongAuthority(t testing.TB, id, file string) string {
	t.Helper()
	data, err := pki.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return "- {id: " + id + `, cert: "` + strings.ReplaceAll(strings.TrimSpace(string(data)), "\n", `\n`) + "\"}\n"
}

// configuration returns a configuration with the authority ca-1.
func kongConfiguration(t testing.TB, text string) string {
	if !strings.Contains(text, "_format_version") {
		text = "_format_version: '3.0'\n" + text
	}
	if text = strings.TrimSuffix(text, "\n") + "\n"; !strings.Contains(text, "ca_certificates:\n") {
		text += "ca_certificates:\n"
	}
	return text + kongAuthority(t, "ca-1", "client-ca.pem")
}

// routed returns a service with the plugins of the authority and of a list, and its routes.
func kongRouted(acl, routes string) string {
	return "services:\n- name: s\n  plugins: [" + kongAuth + acl + "]\n  routes: [" + routes + "]\n"
}

const kongStaff = "consumers: [{username: alice, acls: [{group: staff}]}, {username: bob, acls: [{group: admins}]}]\n"

func kongAllow(groups string) string { return ", {name: acl, config: {allow: [" + groups + "]}}" }

// Each row is a configuration, and parts of the result or of the error.
func TestKongConfigurations(t *testing.T) {
	t.Parallel()
	certs := importer.Options{Certificates: []string{"alice.pem", "bob.pem", "orders.pem", "partner.pem", "carol.pem", "client-sub-ca.pem"}}
	for name, row := range map[string]struct {
		text   string
		flags  kongyaml.Options
		cased  bool // without --same-case
		narrow bool
		rename map[string]string
		want   []string
		not    []string
	}{
		// names
		"an address":                {text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: al@acme.example, ca_certificate: {id: ca-1}}]}]", want: []string{`{id: kong-2, user: al, email: al@acme.example, issuer: kong-ca-ca-1.pem}`}},
		"a URI":                     {text: "consumers: [{username: o, mtls_auth_credentials: [{subject_name: 'spiffe://acme/ns/prod/sa/orders', ca_certificate: ca-1}]}]", want: []string{`uri: "spiffe://acme/ns/prod/sa/orders", issuer: kong-ca-ca-1.pem}`, "| orders.pem | o | o |"}},
		"a host":                    {text: "consumers: [{username: o, mtls_auth_credentials: [{subject_name: o.acme.example}]}]", want: []string{`dns: o.acme.example, issuer: kong-ca-ca-1.pem}`}},
		"an address, its case":      {cased: true, text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: alice@acme.example}]}, {username: b, mtls_auth_credentials: [{subject_name: b@acme.example}]}]", want: []string{"user: al, " + kongAlice, "the case of a host does not count here: the certificates of --certs are written", "--same-case, if the authority"}, not: []string{"email:"}},
		"refused, without case":     {cased: true, text: "consumers: [{username: al, plugins: [{name: request-termination}], mtls_auth_credentials: [{subject_name: alice@acme.example}]}]", want: []string{"email: alice@acme.example, issuer: kong-ca-ca-1.pem, disabled: true"}},
		"a common name":             {text: "consumers: [{username: robert, mtls_auth_credentials: [{subject_name: bob}]}]", want: []string{"user: robert, " + kongBob, "is that of the certificates of --certs alone"}},
		"a common name, no cert":    {text: "consumers: [{username: r, mtls_auth_credentials: [{subject_name: nobody}, {subject_name: a@b.example}]}]", want: []string{"a common name alone names no certificate", "user: r, email"}},
		"a common name beside SANs": {text: "consumers: [{username: r, mtls_auth_credentials: [{subject_name: alice}, {subject_name: a@b.example}]}]", want: []string{"a common name alone", "| alice.pem | not known | no user: unmapped |"}, not: []string{kongAlice}},
		"by a sub-authority":        {text: "consumers: [{username: c, mtls_auth_credentials: [{subject_name: carol}]}]", want: []string{"user: c, fingerprint", "| carol.pem | c | c |"}},
		"another authority's":       {text: "consumers: [{username: p, mtls_auth_credentials: [{subject_name: partner}, {subject_name: a@b.example}]}]", want: []string{"| partner.pem | no user | no user"}, not: []string{"user: p, fingerprint"}},
		"a variable of ours":        {text: "consumers: [{username: p, mtls_auth_credentials: [{subject_name: '{user}@acme.example'}, {subject_name: a@b.example}]}]", want: []string{"email: a@b.example"}, not: []string{"{user}@acme.example, issuer"}},
		"an unknown authority":      {text: "consumers: [{username: p, mtls_auth_credentials: [{subject_name: x@b.example, ca_certificate: {id: other}}, {subject_name: a@b.example}]}]", want: []string{"its authority is not in the files", "email: a@b.example"}, not: []string{"email: x@b.example"}},
		"one name, two authorities": {text: "consumers: [{username: a, mtls_auth_credentials: [{subject_name: x@b.example, ca_certificate: {id: ca-2}}]}, {username: b, mtls_auth_credentials: [{subject_name: x@b.example}]}]\nca_certificates:\n" + kongAuthority(t, "ca-2", "partner-ca.pem"), want: []string{"user: a, email: x@b.example, issuer: kong-ca-ca-2.pem", "user: b, email: x@b.example, issuer: kong-ca-ca-1.pem"}, not: []string{"user: b, email: x@b.example, issuer: kong-ca-ca-2.pem"}},
		"an authority below":        {text: "consumers: [{username: c, mtls_auth_credentials: [{subject_name: c@b.example, ca_certificate: {id: sub}}, {subject_name: a@b.example}]}]\nca_certificates:\n" + kongAuthority(t, "sub", "client-sub-ca.pem"), want: []string{"Kong takes the last one of a chain", "email: a@b.example, issuer: kong-ca-ca-1.pem", "email: a@b.example, issuer: kong-ca-sub.pem"}, not: []string{"email: c@b.example"}},
		"by their own names":        {text: "consumers: [{username: bob}, {username: orders, custom_id: 'spiffe://acme/ns/prod/sa/orders'}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), want: []string{"user: bob, " + kongBob, `user: orders, uri: "spiffe://acme/ns/prod/sa/orders", issuer`}},
		"not by their own names":    {text: "consumers: [{username: bob}]\nservices: [{name: s, plugins: [{name: mtls-auth, config: {ca_certificates: [ca-1], consumer_by: []}}], routes: [{name: r, paths: [/r/]}]}]\n", want: []string{"p, group:Authenticated, *, *, /r/*, allow"}, not: []string{"users.yaml"}},
		"a credential decides":      {text: "consumers: [{username: bob}, {username: x, mtls_auth_credentials: [{subject_name: bob}]}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), want: []string{"user: x, " + kongBob, "a credential decides about the name bob"}, not: []string{"user: bob"}},
		"two users of one name":     {text: "consumers: [{username: a, mtls_auth_credentials: [{subject_name: x@b.example}]}, {username: b, mtls_auth_credentials: [{subject_name: x@b.example}]}, {username: c, mtls_auth_credentials: [{subject_name: c@b.example}]}]", want: []string{"gives the same certificate to another user", "user: c"}, not: []string{"user: a, email", "user: b, email"}},
		"no user name":              {text: "consumers: [{username: old bob, acls: [{group: g}], mtls_auth_credentials: [{subject_name: x@b.example}]}, {username: c, mtls_auth_credentials: [{subject_name: c@b.example}]}]", want: []string{`"old bob" is not a user name`, "user: c"}, not: []string{"x@b.example, issuer"}},
		"two consumers, one user":   {text: "consumers: [{username: a b, mtls_auth_credentials: [{subject_name: x@b.example}], acls: [{group: g}]}, {username: c, acls: [{group: h}], mtls_auth_credentials: [{subject_name: c@b.example}]}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), rename: map[string]string{"a b": "c"}, want: []string{"would be one user"}, not: []string{"users.yaml: kong", "g, user:c"}},
		"no consumer's name":        {text: "consumers: [{custom_id: k, mtls_auth_credentials: [{subject_name: x@b.example}]}]", want: []string{"user: k, email"}},
		"a flat file":               {text: "consumers: [{id: c-1, username: al}]\nmtls_auth_credentials: [{consumer: c-1, subject_name: al@acme.example, ca_certificate: ca-1}]\nacls: [{consumer: {id: c-1}, group: g}]\n", want: []string{"user: al, email", "g, user:al, group:g"}},
		"a refused consumer":        {text: "consumers: [{username: al, acls: [{group: g}], plugins: [{name: request-termination}], mtls_auth_credentials: [{subject_name: al@acme.example}]}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), want: []string{"email: al@acme.example, issuer: kong-ca-ca-1.pem, disabled: true", "the plugin request-termination may refuse the consumer"}, not: []string{"g, user:al"}},
		"a refused group":           {text: "consumers: [{username: al, acls: [{group: g}], groups: [{name: gold}], mtls_auth_credentials: [{subject_name: al@acme.example}]}]\nconsumer_groups: [{name: gold, plugins: [{name: ip-restriction}]}]", want: []string{"disabled: true"}, not: []string{"g, user:al"}},
		"a refused group, enabled":  {text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: al@acme.example}]}]\nconsumer_groups: [{id: g-1, name: gold, consumers: [{username: al}]}]\nplugins: [{name: ip-restriction, consumer_group: g-1}, {name: ip-restriction, consumer: al, enabled: false}]", want: []string{"disabled: true"}},
		"a harmless plugin":         {text: "consumers: [{username: al, plugins: [{name: rate-limiting}, {name: ip-restriction, enabled: false}], mtls_auth_credentials: [{subject_name: al@acme.example}]}]", not: []string{"disabled"}},
		"routes of two authorities": {text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: a@b.example}]}]\nservices: [{name: s, routes: [{name: r, paths: [/r/], plugins: [" + kongAuth + "]}, {name: t, paths: [/t/], plugins: [{name: mtls-auth, config: {ca_certificates: [ca-1, ca-2]}}]}]}]\nca_certificates:\n" + kongAuthority(t, "ca-2", "partner-ca.pem"), want: []string{"a@b.example, issuer: kong-ca-ca-1.pem"}, not: []string{"issuer: kong-ca-ca-2.pem"}},
		"another authority's route": {text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: al@acme.example, ca_certificate: {id: ca-2}}, {subject_name: a@b.example}]}]\n" + kongRouted("", "{name: r, paths: [/r/]}") + "ca_certificates:\n" + kongAuthority(t, "ca-2", "partner-ca.pem"), want: []string{"no authority of the files is trusted by all routes", "a@b.example, issuer: kong-ca-ca-1.pem"}, not: []string{"email: al@acme.example", "issuer: kong-ca-ca-2.pem"}},

		// routes
		"text and segments":      {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/orders]}"), want: []string{"p, group:staff, *, *, /orders, allow\np, group:staff, *, *, /orders/*, allow", "such as /ordersX, is refused here", "alice  *  GET  /orders  allow", "bob  *  GET  /orders  deny"}},
		"whole segments":         {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/orders]}"), flags: kongyaml.Options{WholeSegments: true}, not: []string{"ordersX"}},
		"a denied group":         {text: kongStaff + kongRouted(", {name: acl, config: {deny: [staff]}}", "{name: r, paths: [/r/], methods: [GET, POST]}"), want: []string{"p, group:staff, *, GET|POST, /r/*, deny", "p, group:Authenticated, *, GET|POST, /r/*, allow", "a rule for GET is one for HEAD too"}},
		"old words":              {text: kongStaff + "_format_version: '1.1'\n" + kongRouted(", {name: acl, config: {blacklist: [staff]}}", "{name: r, paths: [/r/]}"), want: []string{"p, group:staff, *, *, /r/*, deny"}},
		"a denied bad name":      {text: "consumers: [{username: al, acls: [{group: a b}]}]\n" + kongRouted(", {name: acl, config: {deny: [a b]}}", "{name: r, paths: [/r/]}"), want: []string{"leaving this line out would let a caller in", `the group "a b", which is refused`}},
		"a denied bad, narrow":   {text: kongStaff + kongRouted(", {name: acl, config: {deny: [a b]}}", "{name: r, paths: [/r/]}, {name: t, paths: [/t/], plugins: [{name: acl, config: {allow: [staff]}}]}"), narrow: true, want: []string{"/t/*, allow"}, not: []string{"/r/*, allow"}},
		"groups that become one": {text: kongStaff + kongRouted(", {name: acl, config: {allow: [a b, staff]}}", "{name: r, paths: [/r/]}"), rename: map[string]string{"a b": "staff"}, want: []string{"would be one"}},
		"no groups":              {text: kongStaff + kongRouted(", {name: acl, config: {allow: []}}", "{name: r, paths: [/r/]}"), want: []string{"lets no user in"}, not: []string{"allow\n"}},
		"no mtls-auth":           {text: kongStaff + "services: [{name: s, plugins: [{name: acl, config: {allow: [staff]}}], routes: [{name: r, paths: [/r/]}]}]", want: []string{"no plugin mtls-auth identifies its callers"}, not: []string{"/r/*, allow"}},
		"mtls-auth disabled":     {text: kongStaff + "services: [{name: s, plugins: [{name: mtls-auth, enabled: false, config: {ca_certificates: [ca-1]}}, {name: acl, config: {allow: [staff]}}], routes: [{name: r, paths: [/r/]}]}]", want: []string{"no plugin mtls-auth"}, not: []string{"/r/*, allow"}},
		"acl disabled":           {text: kongStaff + kongRouted(", {name: acl, enabled: false, config: {allow: [staff]}}", "{name: r, paths: [/r/]}"), want: []string{"p, group:Authenticated, *, *, /r/*, allow"}},
		"open":                   {text: kongStaff + "services: [{name: s, routes: [{name: r, paths: [/r/]}]}]", want: []string{"no plugin authenticates the caller"}, not: []string{"/r/*, allow"}},
		"any certificate":        {text: kongStaff + "services: [{name: s, plugins: [{name: mtls-auth, config: {ca_certificates: [ca-1], skip_consumer_lookup: true}}], routes: [{name: r, paths: [/r/]}]}]", want: []string{"without a consumer"}, not: []string{"/r/*, allow"}},
		"another plugin's keys":  {text: kongStaff + "services: [{name: s, plugins: [{name: mtls-auth, config: {ca_certificates: [ca-1], upstream_cert_header: X}}], routes: [{name: r, paths: [/r/]}]}]", want: []string{"header, which Kong's own has not"}, not: []string{"/r/*, allow"}},
		"anonymous":              {text: kongStaff + "services: [{name: s, plugins: [{name: mtls-auth, config: {ca_certificates: [ca-1], anonymous: guest}}], routes: [{name: r, paths: [/r/]}]}]", want: []string{`anonymous: requests without a consumer are those of "guest" there`, "/r/*, allow"}},
		"another condition":      {text: kongStaff + kongRouted(", {name: ip-restriction, config: {allow: [10.0.0.0/8]}}", "{name: r, paths: [/r/]}"), want: []string{"the plugin ip-restriction (line 5) may refuse a request too"}, not: []string{"/r/*, allow"}},
		"a global condition":     {text: kongStaff + "plugins: [{name: opa}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), want: []string{"the plugin opa (line 3)"}, not: []string{"/r/*, allow"}},
		"another login":          {text: kongStaff + kongRouted(", {name: key-auth}", "{name: r, paths: [/r/]}"), want: []string{"the plugin key-auth"}, not: []string{"/r/*, allow"}},
		"another login, no name": {text: kongStaff + kongRouted(", {name: key-auth, config: {anonymous: ''}}", "{name: r, paths: [/r/]}"), want: []string{"the plugin key-auth"}, not: []string{"/r/*, allow"}},
		"a second login":         {text: kongStaff + kongRouted(", {name: key-auth, config: {anonymous: guest}}", "{name: r, paths: [/r/]}"), want: []string{"key-auth is another way to log in", "/r/*, allow"}},
		"harmless plugins":       {text: kongStaff + kongRouted(", {name: cors}, {name: http-log}", "{name: r, paths: [/r/]}"), want: []string{"are not carried: cors, http-log", "/r/*, allow"}},
		"a filter":               {text: kongStaff + "filter_chains: [{route: r, filters: [{name: f}]}]\n" + kongRouted("", "{name: r, paths: [/r/]}"), want: []string{"chains (line 3) may refuse"}, not: []string{"/r/*, allow"}},
		"ordering":               {text: kongStaff + kongRouted(", {name: acl, ordering: {before: {access: [mtls-auth]}}, config: {allow: [staff]}}", "{name: r, paths: [/r/]}"), want: []string{"its key ordering is not understood"}, not: []string{"/r/*, allow"}},
		"two of one scope":       {text: kongStaff + kongRouted(kongAllow("staff")+kongAllow("admins"), "{name: r, paths: [/r/]}"), want: []string{"that there are two is not understood"}, not: []string{"/r/*, allow"}},
		"the most specific":      {text: kongStaff + "plugins: [{name: acl, config: {allow: [a]}}, {name: acl, service: s, config: {allow: [b]}}, {name: acl, route: {name: r}, config: {allow: [c]}}, {name: acl, route: r, service: {name: s}, config: {allow: [staff]}}, {name: acl, route: r2, config: {allow: [d]}}]\n" + kongRouted("", "{name: r, paths: [/r/]}, {name: r2, paths: [/2/]}, {name: r3, paths: [/3/]}"), want: []string{"p, group:staff, *, *, /r/*, allow", "p, group:d, *, *, /2/*, allow", "p, group:b, *, *, /3/*, allow"}, not: []string{"group:a,", "group:c,"}},
		"disabled specific":      {text: kongStaff + "plugins: [{name: acl, route: r, enabled: false, config: {allow: [a]}}]\n" + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/]}"), want: []string{"p, group:staff, *, *, /r/*, allow"}},
		"http alone":             {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], protocols: [http]}"), want: []string{"over https alone"}, not: []string{"/r/*, allow"}},
		"grpc":                   {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], protocols: [grpcs]}"), want: []string{"its protocols are grpcs"}, not: []string{"/r/*, allow"}},
		"tcp":                    {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, protocols: [tcp], destinations: [{port: 1}]}, {name: t, paths: [/t/]}"), want: []string{"it is not HTTP", "/t/*, allow"}},
		"hosts":                  {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], hosts: [a.example]}"), want: []string{"--host NAME"}, not: []string{"/r/*, allow"}},
		"the host":               {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], hosts: [A.example]}, {name: t, paths: [/t/], hosts: ['*.example']}, {name: u, paths: [/u/], hosts: [b.example]}, {name: v, paths: [/v/], hosts: ['a.example:8443']}"), flags: kongyaml.Options{Host: "a.example"}, want: []string{"/r/*, allow", "/t/*, allow", "it takes no requests to the host of --host"}, not: []string{"/u/*, allow", "/v/*, allow"}},
		"no host":                {text: kongStaff, flags: kongyaml.Options{Host: "a b"}, want: []string{`--host: "a b" is not a host name`}},
		"headers and SNIs":       {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], headers: {x: [y]}, snis: [a.example]}"), want: []string{"its headers, snis decide too"}, not: []string{"/r/*, allow"}},
		"no SNIs":                {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], headers: {}, snis: [], hosts: ~}"), want: []string{"/r/*, allow"}},
		"a pattern":              {text: kongStaff + kongRouted(kongAllow("staff"), `{name: r, paths: ['~/r/\d+$', /s/]}`), want: []string{"is a pattern", "/s/*, allow"}, not: []string{"*, /r/"}},
		"an old pattern":         {text: kongStaff + "_format_version: '2.1'\n" + kongRouted(kongAllow("staff"), `{name: r, paths: ['/r/(a|b)', /s/]}`), want: []string{"is a pattern", "/s/*, allow"}, not: []string{"*, /r/"}},
		"an escape":              {text: kongStaff + kongRouted(kongAllow("staff"), `{name: r, paths: ['/r%20s/', /s/]}`), want: []string{"has characters"}, not: []string{"r%20s/*"}},
		"an expression":          {text: kongStaff + kongRouted(kongAllow("staff"), `{name: r, expression: 'http.path == "/x"', priority: 1}`), want: []string{"its expression decide"}, not: []string{"/*, allow"}},
		"methods of their own":   {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, paths: [/r/], methods: [PURGE, GET]}, {name: s, paths: [/s/]}, {name: t, paths: [/t/], methods: [LOCK]}"), want: []string{"p, group:staff, *, GET, /r/*, allow", "p, group:staff, *, GET|POST|PUT|PATCH|DELETE|OPTIONS, /s/*, allow", "rules know no method PURGE", "rules know no method LOCK"}, not: []string{"/t/*"}},
		"no path":                {text: kongStaff + kongRouted(kongAllow("staff"), "{name: r, methods: [GET]}"), want: []string{"p, group:staff, *, GET, /*, allow"}},
		"a disabled service":     {text: kongStaff + "services: [{name: s, enabled: false, plugins: [" + kongAuth + "], routes: [{name: r, paths: [/r/]}]}]", want: []string{"its service is disabled"}, not: []string{"/r/*, allow"}},
		"elsewhere":              {text: kongStaff + kongRouted(kongAllow("staff"), `{name: r, paths: ['${{ env "P" }}']}`), want: []string{"is a pattern"}, not: []string{"/*, allow"}},
		"a method elsewhere":     {text: kongStaff + kongRouted(kongAllow("staff"), `{name: r, paths: [/r/], methods: ['${{ env "P" }}']}`), want: []string{"its methods decide too"}, not: []string{"/*, allow"}},
		"a group elsewhere":      {text: kongStaff + kongRouted(kongAllow(`'{vault://env/g}'`), `{name: r, paths: [/r/]}`), want: []string{"is not in the file"}, not: []string{"/*, allow"}},

		// errors
		"an alias":            {text: "x-a: &a [{group: staff}]\nconsumers: [{username: al, acls: *a}, {username: bob, acls: *a}]\n", want: []string{"g, user:al, group:staff", "g, user:bob, group:staff", "not read: x-a"}},
		"a merge":             {text: "x-a: &a {acls: [{group: staff}]}\nconsumers: [{username: al, <<: *a}]\n", want: []string{"takes keys from elsewhere by <<"}},
		"a key twice":         {text: "consumers: [{username: al, username: bob}]\n", want: []string{`has the key "username" twice`}},
		"defaults":            {text: kongStaff + "_info: {defaults: {route: {protocols: [http]}}}\n", want: []string{"deck gateway dump"}},
		"shared plugins":      {text: kongStaff + "_plugin_configs: {a: {allow: [x]}}\n", want: []string{"deck gateway dump"}},
		"no service":          {text: "routes: [{name: r, paths: [/r/], service: {name: gone}}]", want: []string{`no service is "gone"`}},
		"no consumer":         {text: "acls: [{consumer: gone, group: g}]", want: []string{`no consumer is "gone"`}},
		"two routes":          {text: "routes: [{name: r, paths: [/r/]}, {name: r, paths: [/s/]}]", want: []string{`two elements of routes are "r"`}},
		"another format":      {text: "_format_version: '4.0'\n", want: []string{`_format_version is "4.0"`}},
		"not a list":          {text: "services: {a: b}", want: []string{"services is not a list"}},
		"not a mapping":       {text: "services: [a]", want: []string{"an element of services is not a mapping"}},
		"a list for a text":   {text: "consumers: [{username: [a]}]", want: []string{"username is not a text"}},
		"neither true":        {text: "services: [{name: s, enabled: 'no'}]", want: []string{"neither true nor false"}},
		"another certificate": {text: "consumers: [{username: al, mtls_auth_credentials: [{subject_name: al@acme.example}]}]\nca_certificates:\n" + kongAuthority(t, "leaf", "alice.pem"), want: []string{"it is not the certificate of one authority", "user: al"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := certs
			o.Format, o.Narrow, o.Rename = "kong", row.narrow, row.rename
			got := importertest.Run(t, o, map[string]string{"k.yaml": kongConfiguration(t, row.text)}, func(in *importer.Import, names []string) error {
				row.flags.SameCase = !row.cased
				return kongyaml.Read(in, names, row.flags)
			}, "k.yaml")
			for _, want := range row.want {
				if !strings.Contains(got, want) {
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
