package webmethods_test

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
)

var update = flag.Bool("update", false, "write testdata/golden")

// The files of the sample.
const (
	acls    = "instance/config/acls.cnf"
	aclmap  = "instance/config/aclmap_sm.cnf"
	users   = "instance/config/users.cnf"
	main    = "instance/config/listeners.cnf"
	orders  = "instance/packages/AcmeOrders/config/listeners.cnf"
	certmap = "instance/certmap.csv"
)

// sample returns the files of testdata/instance.
func sample(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS("testdata"), "instance", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile("testdata/" + name)
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run imports the folder instance. The files of the options are relative to the folder of the test.
func run(t *testing.T, o importer.Options, w webmethods.Options, files map[string]string, folder string) string {
	t.Helper()
	o.Format = "webmethods"
	names := append([]string{folder, w.CertMap, w.REST}, append(w.Namespaces, w.Listeners...)...)
	return importertest.Run(t, o, files, func(in *importer.Import, paths []string) error {
		inside := w
		if w.CertMap != "" {
			inside.CertMap = paths[1]
		}
		if w.REST != "" {
			inside.REST = paths[2]
		}
		inside.Namespaces = paths[3 : 3+len(w.Namespaces)]
		if len(w.Namespaces) == 0 {
			inside.Namespaces = nil
		}
		inside.Listeners = paths[3+len(w.Namespaces):]
		return webmethods.Read(in, paths[0], inside)
	}, names...)
}

func TestSample(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		import_ importer.Options
		options webmethods.Options
		files   map[string]string
	}{
		"plain": {options: webmethods.Options{CertMap: certmap, Usage: "1"}},
		"services": {
			import_: importer.Options{Certificates: []string{"alice.pem", "mallory.pem", "stranger.pem"}, Issuers: []string{"client-ca.pem"}, Rename: map[string]string{"eve smith": "eve"}},
			options: webmethods.Options{CertMap: certmap, Usage: "1", Namespaces: []string{"instance/packages"}, REST: "rest.csv", ExternalUsers: true},
			files:   map[string]string{"rest.csv": "service,path,methods\nacme.orders:create,/orders,POST\nacme.orders:status,/orders/{id},GET\nacme.orders:cancel,/orders/{id},DELETE\nacme.admin:reset,/admin/reset,POST\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := sample(t)
			maps.Copy(files, row.files)
			got := run(t, row.import_, row.options, files, "instance")
			golden := "testdata/golden-" + name + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%v: got\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// Each row changes one thing of the sample.
func TestSpoiledSamples(t *testing.T) {
	t.Parallel()
	const group = `<value name="local/Suspended">local/Suspended</value>`
	for name, row := range map[string]struct {
		file, old, new string
		narrow         bool
		rename         map[string]string
		options        webmethods.Options
		extra          map[string]string
		folder         string
		want           []string
		not            string
	}{
		"a DOCTYPE":                       {file: acls, old: "<Values", new: `<!DOCTYPE Values SYSTEM "file:///etc/passwd"><Values`, want: []string{"acls.cnf:3: a DOCTYPE is not read"}},
		"an entity":                       {file: acls, old: ">false<", new: ">&x;<", want: []string{"acls.cnf:4: this is not XML", "&x;"}},
		"a stylesheet":                    {file: acls, old: "<value name=\"defAccess\"", new: "<?php x?><value name=\"defAccess\"", want: []string{"acls.cnf:4:", "php"}},
		"another encoding":                {file: acls, old: "UTF-8", new: "UTF-16", want: []string{"acls.cnf:1:", "UTF-16"}},
		"another root":                    {file: aclmap, old: "Values", new: "Valuez", want: []string{"aclmap_sm.cnf:3: \"Valuez\" is not the only element Values"}},
		"a second root":                   {file: aclmap, old: "</Values>", new: "</Values><Values/>", want: []string{"is not the only element Values"}},
		"text beside the elements":        {file: aclmap, old: "<value name=\"wm\"", new: "x<value name=\"wm\"", want: []string{"aclmap_sm.cnf:4: there is text"}},
		"a cut file":                      {file: aclmap, old: "</Values>", new: "", want: []string{"aclmap_sm.cnf", "unexpected EOF"}},
		"an empty file":                   {file: aclmap, old: "", new: " ", want: []string{"aclmap_sm.cnf"}},
		"a name twice":                    {file: aclmap, old: `name="pub"`, new: `name="wm"`, want: []string{`aclmap_sm.cnf:6: two elements of a record have the name "wm"`}},
		"an element in a value":           {file: aclmap, old: ">PartnerACL<", new: "><b/>PartnerACL<", want: []string{`aclmap_sm.cnf:8: the element "b" is in a value`}},
		"an encoded value":                {file: aclmap, old: `<value name="acme.orders">`, new: `<value encoding="base64" name="acme.orders">`, want: []string{`aclmap_sm.cnf:8: "acme.orders" is not a text`}},
		"an attribute twice":              {file: aclmap, old: `<value name="acme">`, new: `<value name="acme" name="b">`, want: []string{"aclmap_sm.cnf:7:", "\"name\""}},
		"a null that is not":              {file: aclmap, old: `<null name="acme.orders:status"/>`, new: `<null name="acme.orders:status"><value>x</value></null>`, want: []string{`the element "null" is not empty`}},
		"an idref to nothing":             {file: users, old: `idref="4"`, new: `idref="4000"`, want: []string{`idref "4000" is not the id of one element before`}},
		"an idref to itself":              {file: users, old: `idref="4"`, new: `idref="1"`, want: []string{`idref "1" is not the id of one element before`}},
		"an id twice":                     {file: users, old: `id="5"`, new: `id="4"`, want: []string{`idref "4" is not the id of one element before`}},
		"many elements in one another":    {file: acls, old: `<value name="defAccess">`, new: strings.Repeat(`<record name="x">`, 40) + `<value name="defAccess">`, want: []string{"acls.cnf:4: elements nest more than 32 deep"}},
		"no groups of users":              {file: users, old: `<record name="groups"`, new: `<record name="grops"`, want: []string{`users.cnf: the file has no record "groups"`}},
		"an ACL with two names":           {file: acls, old: `<value name="name">StaffACL</value>`, new: `<value name="name">Staff</value>`, want: []string{`acls.cnf:15: the ACL "StaffACL" has another name inside: "Staff"`}},
		"a group with two names":          {file: acls, old: group, new: `<value name="local/Suspended">local/Nobody</value>`, want: []string{`"local/Suspended" is not named like its text`}},
		"a user with two names":           {file: users, old: `<record name="alice"`, new: `<record name="alicia"`, want: []string{`users.cnf:5: the user "alicia" has another name inside: "alice"`}},
		"no users":                        {file: users, new: "-", want: []string{"users.cnf: the file is not in the folder"}},
		"no folder of an instance":        {folder: "instance/packages", want: []string{"instance/packages: this is not the folder of an Integration Server"}},
		"the config folder alone":         {folder: "instance/config", want: []string{"name: Internal, listen"}, not: "Partners, listen"},
		"defAccess":                       {file: acls, old: ">false<", new: ">true<", want: []string{"defAccess is true"}},
		"an IDataXMLCoder":                {file: aclmap, old: `<Values version="2.0">`, new: `<IDataXMLCoder version="1.0"><record javaclass="com.wm.data.ISMemDataImpl">`, want: []string{"/invoke/acme.orders/create, allow"}},
		"a denied group of LDAP":          {file: acls, old: group, new: `<value name="ldap/Bad">ldap/Bad</value>`, want: []string{`acls.cnf:6: leaving this line out would let a caller in: the members of the denied group "ldap/Bad"`}},
		"a denied group of LDAP, narrow":  {file: acls, old: group, new: `<value name="ldap/Bad">ldap/Bad</value>`, narrow: true, want: []string{"(--narrow: what it limits is left out)", "lets no user in here"}, not: "group:Partners, Partners"},
		"a denied group without a name":   {file: acls, old: group, new: `<value name="local/a b">local/a b</value>`, want: []string{"acls.cnf:6: leaving this line out would let a caller in: the denied group \"local/a b\" has no name here"}},
		"a denied group, renamed":         {file: acls, old: group, new: `<value name="local/a b">local/a b</value>`, rename: map[string]string{"a b": "ab"}, want: []string{"group:ab, Partners, GET|POST, /invoke/acme.orders/create, deny"}},
		"two groups of one name":          {rename: map[string]string{"Suspended": "Partners"}, want: []string{"leaving this line out would let a caller in"}},
		"two users of one name":           {rename: map[string]string{"bob": "alice"}, want: []string{`the user "alice" has the name alice here already`}, not: "g, user:alice, group:Suspended"},
		"everybody denied":                {file: acls, old: group, new: `<value name="local/Everybody">local/Everybody</value>`, want: []string{"denies everybody: no rule"}, not: "group:Partners, Partners"},
		"anonymous denied alone":          {file: acls, old: group, new: `<value name="local/Anonymous">local/Anonymous</value>`, want: []string{"p, group:Anonymous, Partners, GET|POST, /invoke/acme.orders/create, deny"}},
		"a membership that one side says": {file: users, old: `<object idref="7" name="Partners"/>`, new: "", want: []string{"only one lists the membership"}, not: "g, user:bob, group:Partners"},
		"a denied one": {file: users, old: `<object idref="13" name="bob"/>
      </record>`, new: `</record>`, want: []string{"users.cnf:18: leaving this line out would let a caller in: of the user and the group \"Suspended\" only one lists"}},
		"a denied one, narrow": {file: users, old: `<object idref="13" name="bob"/>
      </record>`, new: `</record>`, narrow: true, options: webmethods.Options{CertMap: certmap, Usage: "1"}, want: []string{"user: bob, fingerprint: \"sha256:daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10\", disabled: true"}, not: "g, user:bob"},
		"a named user in Anonymous": {file: users, old: `<value name="Suspended" id="16">Suspended</value>`, new: `<value name="Suspended" id="16">Suspended</value><value name="Anonymous" id="160">Anonymous</value>`, want: []string{"users.cnf:18: leaving this line out would let a caller in: the user is in the group Anonymous"}},
		"everybody in a denied group": {file: users, old: `<object idref="13" name="bob"/>
      </record>`, new: `<object idref="13" name="bob"/><value name="Everybody">Everybody</value></record>`, want: []string{"g, group:Everybody, group:Suspended"}},
		"a group in Anonymous": {file: users, old: "<object idref=\"48\" name=\"Default\"/>", new: "<object idref=\"48\" name=\"Default\"/><object idref=\"35\" name=\"KeyPartners\"/>", want: []string{`the group Anonymous holds the group "KeyPartners"`}},
		"a disabled group": {file: users, old: `<object idref="32" name="orders_api"/>
      </record>
      <object idref="9" name="enabled"/>`, new: `<object idref="32" name="orders_api"/></record><value name="enabled">false</value>`, want: []string{`users.cnf:59`, `the group "KeyPartners", or one that holds it, is disabled`}, not: "g, user:orders_api"},
		"a long name": {file: aclmap, old: "acme.ping:ping", new: strings.Repeat("a.", 400) + "x:y", want: []string{"aclmap_sm.cnf:11: the name of a service has more than 512 bytes"}},
		"Default in a group": {file: users, old: `<object idref="35" name="KeyPartners"/>
      </record>`, new: `<object idref="35" name="KeyPartners"/><value name="Default">Default</value></record>`, want: []string{"only one lists the membership"}},
		"enabled is neither":             {file: users, old: `<value name="enabled" id="9">true`, new: `<value name="enabled" id="9">perhaps`, want: []string{"enabled is neither true nor false", "user: alice, fingerprint", "disabled: true"}, options: webmethods.Options{CertMap: certmap, Usage: "1"}},
		"a circle of groups":             {file: users, old: `<object idref="32" name="orders_api"/>`, new: `<object idref="32" name="orders_api"/><value name="Partners">Partners</value>`, want: []string{"is in a circle of groups"}},
		"a user and a group of one name": {file: users, old: `<record name="alice"`, new: `<record name="KeyPartners"`, want: []string{`users.cnf:113: "KeyPartners", a member of the group "Partners", is both a user and a group`}},
		"a service of another ACL":       {file: aclmap, old: `<value name="acme.orders:cancel">StaffACL</value>`, new: "", want: []string{"/invoke/acme.orders/{service}, allow"}},
		"a pattern as a service":         {file: aclmap, old: "acme.ping:ping", new: "acme.ping:{user}", want: []string{"it is not the name of a service or folder"}, not: "{user}, allow"},
		"a star as a service":            {file: aclmap, old: "acme.ping:ping", new: "acme.ping:*", want: []string{"it is not the name of a service or folder"}, not: "/*, allow"},
		"a strange service in a folder":  {file: aclmap, old: "acme.orders:cancel", new: "acme.orders:can cel", want: []string{"a service in the folder has an ACL of its own (acme.orders:can cel)"}, not: "{service}, allow\np, group:Partners"},
		"the server's services":          {options: webmethods.Options{BuiltIn: true}, want: []string{"/invoke/wm.server/ping, allow", "there is no ACL Internal", "/invoke/wm.server.access/userList, deny"}},
		"WmPrivate":                      {file: aclmap, old: "RetiredACL", new: "WmPrivate", want: []string{"WmPrivate lets no user in"}},
		"an unknown service denied":      {file: main, old: "acme.admin:reset", new: "acme.admin:{x}", want: []string{"leaving this line out would let a caller in: the port denies it"}},
		"an unknown service allowed":     {file: orders, old: "acme.ping:ping", new: "acme.ping:{x}", want: []string{"it is not the name of a service or folder"}},
		"a folder denied":                {file: main, old: "acme.admin:reset", new: "acme.orders", want: []string{"p, group:Everybody, Internal, *, /invoke/acme.orders/*, deny", "p, group:Everybody, Internal, *, /invoke/acme.orders:create, deny"}, not: "Internal, GET|POST, /invoke/acme.orders/create, allow"},
		"a folder above denied":          {file: main, old: "acme.admin:reset", new: "acme", want: []string{"p, group:Everybody, Internal, *, /invoke/acme.orders:create, deny"}, not: "Internal, GET|POST"},
		"a folder allowed":               {file: orders, old: "acme.ping:ping", new: "acme.catalog", want: []string{"Partners, GET|POST, /invoke/acme.catalog/{service}, allow"}},
		"no access list":                 {file: orders, old: `<record name="access"`, new: `<record name="acces"`, want: []string{"the port has no access list"}, not: "Partners, GET|POST"},
		"another access mode":            {file: orders, old: ">exclude<", new: ">maybe<", want: []string{"neither include nor exclude"}, not: "Partners, GET|POST"},
		"another condition":              {file: orders, old: `<null name="home"/>`, new: `<value name="hours">9-17</value>`, want: []string{`the access list has "hours", which may be a condition`}},
		"another condition, narrow":      {file: orders, old: `<null name="home"/>`, new: `<value name="hours">9-17</value>`, narrow: true, want: []string{`"hours", which may be a condition`}, not: "Partners, GET|POST"},
		"a list of addresses":            {file: orders, old: `<null name="idProvider"/>`, new: `<value name="hostAllowList">10.0.0.0/8</value>`, want: []string{`"hostAllowList" seems to be a list of addresses`}},
		"a list of addresses, narrow":    {file: orders, old: `<null name="idProvider"/>`, new: `<value name="hostAllowList">10.0.0.0/8</value>`, narrow: true, want: []string{`"hostAllowList" seems to be a list of addresses`}, not: "name: Partners"},
		"a disabled port":                {file: orders, old: `<value name="enabled">true`, new: `<value name="enabled">false`, want: []string{"disabled there: no port"}, not: "name: Partners"},
		"perhaps disabled":               {file: orders, old: `<value name="enabled">true`, new: `<value name="enabled">no`, want: []string{"disabled there: no port"}, not: "name: Partners"},
		"an alias of two keystores":      {file: orders, old: ">ACME_KS<", new: ">OTHER_KS<", want: []string{"cert: server.pem", "cert: server-2.pem, key: server-2-key.pem", "server-2.pem here, because server.pem is something else"}},
		"an alias like a trust store":    {file: orders, old: ">PARTNER_TS<", new: ">server<", want: []string{"anchors: [server-2.pem]", "is server-2.pem here, because server.pem is something else"}},
		"digest":                         {file: orders, old: ">request<", new: ">digest<", want: []string{`clientAuth "digest" is another way to log in`}, not: "name: Partners"},
		"passwords":                      {file: orders, old: ">request<", new: ">none<", want: []string{"name: Partners", "it refuses every caller until"}},
		"reverse invoke":                 {file: orders, old: ">Regular<", new: ">revinvoke<", want: []string{"docs/reverse.md"}, not: "name: Partners"},
		"one address":                    {file: orders, old: `<null name="idProvider"/>`, new: `<value name="bindAddress">10.0.0.1</value>`, want: []string{`listen: "10.0.0.1:9443"`}},
		"a port without a name":          {file: orders, old: ">Partners<", new: "> p 1 <", want: []string{"name: https-9443", "its name here is https-9443"}},
		"two ports of one number":        {file: orders, old: ">9443<", new: ">8443<", want: []string{"the port would not load beside another"}},
		"the server's keystore":          {file: orders, old: `<value name="keyStore">ACME_KS</value>`, new: "", want: []string{"of keystore default"}},
		"another file of ports":          {options: webmethods.Options{Listeners: []string{"more.cnf"}}, extra: map[string]string{"more.cnf": "<Values/>"}, want: []string{`more.cnf: the file has no record "listeners"`}},
		"a folder of no services":        {options: webmethods.Options{Namespaces: []string{"instance/config"}}, want: []string{"adds no service"}},
		"a folder that is none":          {options: webmethods.Options{Namespaces: []string{"instance/nothing"}}, want: []string{"--ns: the folder cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := sample(t)
			maps.Copy(files, row.extra)
			switch {
			case row.new == "-":
				delete(files, row.file)
			case row.file != "" && row.old == "":
				files[row.file] = row.new
			case row.file != "":
				text := strings.Replace(files[row.file], row.old, row.new, 1)
				if text == files[row.file] {
					t.Fatalf("%s has no %s", row.file, row.old)
				}
				if strings.Contains(row.new, "IDataXMLCoder") {
					text = strings.Replace(text, "</Values>", "</record></IDataXMLCoder>", 1)
				}
				if row.old == "Values" {
					text = strings.ReplaceAll(text, "Values", "Valuez")
				}
				files[row.file] = text
			}
			if row.folder == "" {
				row.folder = "instance"
			}
			got := run(t, importer.Options{Narrow: row.narrow, Rename: row.rename}, row.options, files, row.folder)
			compare(t, got, row.want, row.not)
		})
	}
}
