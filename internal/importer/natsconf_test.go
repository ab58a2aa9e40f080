package importer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/natsconf"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

func natsConf(users ...string) string {
	return "tls { ca_file: client-ca.pem, verify_and_map: true }\nauthorization { users = [\n" + strings.Join(users, "\n") + "\n] }\n"
}

func TestNATSConfigurations(t *testing.T) {
	t.Parallel()
	const aliceUser, robot = `{ user = "CN=alice,OU=Staff,O=Acme" }`, `{ user: spiffe://acme/ns/prod/sa/robot }`
	short := natsconf.Options{ShortNames: true}
	for name, row := range map[string]struct {
		text   string
		o      natsconf.Options
		certs  []string
		rename string
		narrow bool
		want   []string
		not    string
	}{
		"a subject":                {text: natsConf(aliceUser), o: short, certs: []string{"."}, want: []string{`{id: test-3, user: alice, subject: "CN=alice,OU=Staff,O=Acme", issuer: client-ca.pem}`, "1 carried, 0 changed, 0 not", "| alice.pem | alice | alice |"}},
		"without short names":      {text: natsConf(aliceUser), want: []string{"is not a user name (--rename"}},
		"renamed":                  {text: natsConf(aliceUser), rename: "CN=alice,OU=Staff,O=Acme", certs: []string{"alice.pem"}, want: []string{"user: renamed,", "| alice.pem | renamed | renamed |"}},
		"blanks":                   {text: natsConf(`{ user = "CN=alice, OU=Staff, O=Acme" }`), o: short, certs: []string{"alice.pem"}, want: []string{`subject: "CN=alice,OU=Staff,O=Acme"`, "| alice.pem | alice | alice |"}},
		"another order":            {text: natsConf(`{ user = "O=Acme,OU=Staff,CN=alice" }`), o: short, certs: []string{"alice.pem"}, want: []string{`subject: "O=Acme,OU=Staff,CN=alice"`, "| alice.pem | alice | no user: unmapped |"}},
		"an escape":                {text: natsConf(robot, `{ user = "CN=a,O=b\\#1" }`), o: short, want: []string{"NATS reads escapes and sets of attributes otherwise"}, not: "user: a,"},
		"a URI":                    {text: natsConf(robot), o: short, want: []string{`user: robot, uri: "spiffe://acme/ns/prod/sa/robot", issuer: client-ca.pem`}},
		"an address":               {text: natsConf(robot, `{ user = "bob@acme.example" }`), o: short, want: []string{"the case of a host does not count here", "--same-case"}, not: "email"},
		"an address, same case":    {text: natsConf(`{ user = "bob@acme.example" }`), o: natsconf.Options{ShortNames: true, SameCase: true}, want: []string{"user: bob, email: bob@acme.example, issuer"}},
		"a host, same case":        {text: natsConf(`{ user = "web.acme.example" }`), o: natsconf.Options{ShortNames: true, SameCase: true}, want: []string{"user: web, dns: web.acme.example, issuer"}},
		"several":                  {text: natsConf(aliceUser, robot+",", `{ username: "CN=bob,OU=Staff,O=Acme", permissions: { subscribe: [ "a.>", "b" ], publish: { deny: ">" } } } # x`), o: short, want: []string{"user: alice,", "user: robot,", "user: bob,", "3 carried"}},
		"accounts":                 {text: "tls: { verify_and_map: on, ca_file: 'client-ca.pem' };\naccounts: { A: { users: [ " + aliceUser + " ] }, B { users = [ " + robot + " ] } }", o: short, want: []string{"user: alice,", "user: robot,"}},
		"one name of two":          {text: natsConf(aliceUser, `{ user = "CN=alice,OU=Guests,O=Acme" }`, robot), o: short, want: []string{"another user is \"alice\" too", "1 carried, 0 changed, 2 not"}, not: "user: alice"},
		"a user twice":             {text: natsConf(aliceUser, aliceUser), o: short, want: []string{"t.conf:4: the user \"CN=alice,OU=Staff,O=Acme\" twice"}},
		"a key":                    {text: natsConf(robot, `{ nkey: UABC }`), o: short, want: []string{"the user is found by a key"}},
		"a variable":               {text: natsConf(robot, `{ user: $NAME }`), o: short, want: []string{"its name is a variable"}},
		"connection types":         {text: natsConf(robot, `{ user = "CN=x", allowed_connection_types: ["MQTT"] }`), o: short, want: []string{"allowed&#95;connection&#95;types limits it"}, not: "user: x"},
		"the same, by another key": {text: natsConf(robot, `{ user = "CN=x", clients: [MQTT] }`, `{ user = "CN=y", Connection_Types: [MQTT] }`), o: short, want: []string{"clients limits it", "Connection&#95;Types limits it"}, not: "user: x"},
		"a password":               {text: natsConf(robot, `{ user = "CN=x", password: secret }`, `{ user = "CN=y", pass: $P }`, `{ user = "CN=z", pass: "" }`), o: short, want: []string{"password limits it", "pass limits it", "user: z,"}, not: "user: x"},
		"a proxy, perhaps":         {text: natsConf(robot, `{ user = "CN=x", proxy_required: $P }`, `{ user = "CN=z", proxy_required: false }`), o: short, want: []string{"proxy&#95;required limits it", "user: z,"}, not: "user: x"},
		"an unknown key":           {text: natsConf(robot, `{ user = "CN=x", moon: full }`), o: short, want: []string{"moon limits it, or is not known"}, not: "user: x"},
		"a proxy":                  {text: natsConf(robot, `{ user = "CN=x", proxy_required: true }`), o: short, want: []string{"proxy&#95;required limits it"}, not: "user: x"},
		"no mapping":               {text: strings.Replace(natsConf(robot), "true", "false", 1), want: []string{"tls has no verify_and_map: true"}},
		"no TLS":                   {text: "authorization { user: a, password: b }", want: []string{"tls has no verify_and_map: true"}},
		"operator mode":            {text: "operator: a.jwt\n" + natsConf(robot), want: []string{"t.conf:1: operator: in operator mode users are in JWTs"}},
		"a callout":                {text: strings.Replace(natsConf(robot), "users =", "auth_callout: { issuer: A }, users =", 1), want: []string{"auth_callout: a service decides"}},
		"pinned certificates":      {text: strings.Replace(natsConf(robot), "tls {", "tls { pinned_certs: [ \"ab\" ],", 1), o: short, want: []string{"t.conf:1: leaving this line out would let a caller in: only the certificates of the list"}},
		"the same, narrow":         {text: strings.Replace(natsConf(robot), "tls {", "tls { pinned_certs: [ \"ab\" ],", 1), o: short, narrow: true, want: []string{"a list of certificates that is not carried limits it"}, not: "users.yaml"},
		"an include":               {text: "include ./users.conf\n" + natsConf(aliceUser), o: short, want: []string{"user: alice,"}},
		"users of an include":      {text: "tls { verify_and_map: true, ca_file: client-ca.pem }\nauthorization { include users.conf }", o: short, want: []string{"users.conf:1", "user: carol,"}},
		"an include outside":       {text: "include ../x.conf\n" + natsConf(aliceUser), o: short, want: []string{"t.conf:1: leaving this line out would let a caller in: the file is not in the folder"}},
		"a loop":                   {text: "include t.conf", want: []string{"include one another"}},
		"comments and a block":     {text: "# a {\n// b {\nx (\n a { } \"\n)\n" + natsConf(aliceUser), o: short, want: []string{"user: alice,", "id: test-8,"}},
		"an open map":              {text: "a { b: c", want: []string{"t.conf:1: the file ends in a value (nats-server -t"}},
		"an open array":            {text: "a [ b", want: []string{"the file ends in a value"}},
		"an open quote":            {text: "a \"b\nc", want: []string{"t.conf:2: a quote is not closed"}},
		"no value":                 {text: "a {\nb: }", want: []string{"t.conf:2: a key without a value"}},
		"an unknown escape":        {text: `a "\q"`, want: []string{`the escape \q is not read`}},
		"depth":                    {text: strings.Repeat("a {", 100), want: []string{"values in too many values"}},
		"deep arrays":              {text: "a " + strings.Repeat("[", 100), want: []string{"values in too many values"}},
		"names of two users":       {text: natsConf(`{ user = "CN=orders,OU=Services,O=Acme" }`, robot), o: short, certs: []string{"orders.pem"}, want: []string{"| orders.pem | orders | orders |"}},
		"a host of a certificate":  {text: natsConf(`{ user = "CN=alice,OU=Staff,O=Acme" }`, `{ user = "localhost" }`), o: short, certs: []string{"alice.pem", "orders.pem"}, want: []string{"user: alice,"}},
		"nothing":                  {text: natsConf(), want: []string{"nothing that can be carried"}},
		"certificates":             {text: natsConf(`{ user = "CN=a+OU=b" }`, aliceUser), o: short, certs: []string{"alice.pem"}, want: []string{"| alice.pem | alice | alice |", "NATS reads escapes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := importer.Options{Certificates: row.certs, Narrow: row.narrow}
			if row.rename != "" {
				o.Rename = map[string]string{row.rename: "renamed"}
			}
			all := map[string]string{"t.conf": row.text, "users.conf": `users: [ { user: "CN=carol,O=Acme" } ]`}
			got := importertest.Run(t, o, all, func(in *importer.Import, names []string) error {
				return natsconf.Read(in, names[0], row.o)
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

// hostsAlone returns a certificate whose only name is a host.
func natsHostsAlone(t *testing.T) string {
	t.Helper()
	read := func(name string) []byte {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ca, err := tls.X509KeyPair(read("client-ca.pem"), read("client-ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(4711), NotBefore: ca.Leaf.NotBefore, NotAfter: ca.Leaf.NotAfter, DNSNames: []string{"web.acme.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// NATS gives no user to a certificate whose only names are hosts.
func TestCertificateWithHostsAloneHasNoUser(t *testing.T) {
	t.Parallel()
	all := map[string]string{"t.conf": natsConf(`{ user = "web.acme.example" }`), "web.pem": natsHostsAlone(t)}
	got := importertest.Run(t, importer.Options{Certificates: []string{"web.pem"}}, all, func(in *importer.Import, names []string) error {
		return natsconf.Read(in, names[0], natsconf.Options{ShortNames: true, SameCase: true})
	}, "t.conf")
	for _, want := range []string{"user: web, dns: web.acme.example", "user: not-carried, fingerprint", "disabled: true", "whose only names are hosts no user", "| web.pem | no user | no user"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// The work grows with users and certificates, and not with their product: else this takes minutes.
func TestManyUsersAreComparedOnce(t *testing.T) {
	t.Parallel()
	users := []string{`{ user = "CN=alice,OU=Staff,O=Acme" }`}
	for i := range 3000 {
		users = append(users, fmt.Sprintf("{ user = \"CN=u%d,OU=Staff,O=Acme\" }\n{ user = u%d.acme.example }", i, i))
	}
	got := importertest.Run(t, importer.Options{Certificates: []string{"."}}, map[string]string{"t.conf": natsConf(users...)}, func(in *importer.Import, names []string) error {
		return natsconf.Read(in, names[0], natsconf.Options{ShortNames: true})
	}, "t.conf")
	if !strings.Contains(got, "| alice.pem | alice | alice |") {
		t.Errorf("got %.2000s, want a row about alice.pem", got)
	}
}

func FuzzNATSConf(f *testing.F) {
	f.Add(natsConf(`{ user = "CN=alice,OU=Staff,O=Acme", permissions: { publish: ">" } }`, `{ user: spiffe://acme/ns/prod/sa/robot }`))
	f.Add("include t.conf\na { b [ 'c', \"d\\n\", $e ] } x (\n y\n)\n" + natsConf(`{ user = bob@acme.example }`))
	importertest.Fuzz(f, "t.conf", func(in *importer.Import, name string) error {
		return natsconf.Read(in, name, natsconf.Options{ShortNames: true, SameCase: in.Narrow()})
	})
}
