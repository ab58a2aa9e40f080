package certmap_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// exampleCaller returns alice's verified certificate, with the subject CN=alice,OU=Staff,O=Acme, as
// a handshake does, and the key of the CA that issued it.
func exampleCaller() (v trust.Verified, ca trust.Digest) {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		log.Fatal(err)
	}
	presented, err := trust.Files("../testdata/pki/alice.pem")
	if err != nil {
		log.Fatal(err)
	}
	if v, err = verifier.Verify(context.Background(), presented); err != nil {
		log.Fatal(err)
	}
	return v, trust.SPKIOf(anchors[0])
}

func Example() {
	v, ca := exampleCaller()
	table, err := certmap.New(
		certmap.Mapping{ID: "orders", User: "orders-api", URI: "spiffe://acme/ns/prod/sa/orders", Issuer: ca},
		certmap.Mapping{ID: "staff", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: ca},
	)
	if err != nil {
		log.Fatal(err)
	}
	match, err := table.Map(context.Background(), v, "internal")
	fmt.Println(match.User, match.MappingID, err)
	// Output: alice staff <nil>
}

func ExampleTable_Explain() {
	v, ca := exampleCaller()
	table, err := certmap.New(
		certmap.Mapping{ID: "pasted", User: "alice", Subject: "O=Acme,OU=Staff,CN=alice", Issuer: ca},
	)
	if err != nil {
		log.Fatal(err)
	}
	_, err = table.Map(context.Background(), v, "internal")
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		fmt.Println(refusal.Reason)
	}
	for _, step := range table.Explain(v, "internal") {
		fmt.Println(step.Result, "-", step.Why)
	}
	// Output:
	// unmapped
	// near miss - the same attributes in the reverse order: RFC 4514 begins with the most specific, which is last in the certificate
}

func ExampleLoad_errors() {
	_, err := certmap.Load("users.yaml", strings.NewReader(`
mappings:
  - {id: alice, user: Default, fingerprint: 12ab}
  - {id: orders, user: orders, uri: "spiffe://Acme/orders"}
`))
	fmt.Println(err)
	// Output:
	// users.yaml:3:23: mapping "alice": the user "Default" is reserved (Default, Everybody, Authenticated and Anonymous are reserved, in any case)
	// users.yaml:3:45: mapping "alice": fingerprint: "12ab" is not a SHA-256 digest: write 64 hex digits, with or without colons and "sha256:" (openssl x509 -noout -fingerprint -sha256)
	// users.yaml:4: mapping "orders": uri needs an issuer: otherwise any trusted CA could make this user (issuer: FILE of the CA certificate, or the SHA-256 of its public key)
	// users.yaml:4:37: mapping "orders": uri: a SPIFFE trust domain is lower-case letters, digits and . - _, with no user and no port (the URI of the certificate, byte for byte: spiffe://acme/orders)
}

func ExampleLoad() {
	v, ca := exampleCaller()
	file := strings.NewReader(`
mappings:
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem, ports: [internal]}
`)
	readCA := func(path string) (trust.Digest, error) { return ca, nil } // reads the file, relative to users.yaml
	table, err := certmap.Load("users.yaml", file, certmap.WithPorts("internal", "public"), certmap.WithIssuers(readCA))
	if err != nil {
		log.Fatal(err)
	}
	for _, port := range []string{"internal", "public"} {
		match, err := table.Map(context.Background(), v, port)
		fmt.Println(port, match.User, err)
	}
	// Output:
	// internal alice <nil>
	// public  unmapped: no mapping matches
}

func ExampleTable_Lint() {
	end := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	table, err := certmap.New(certmap.Mapping{ID: "partner", User: "partner", Fingerprint: trust.Digest{1}, NotAfter: end})
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range table.Lint(end.AddDate(0, 0, -7), 30*24*time.Hour) {
		fmt.Println(finding.What)
	}
	// Output: mapping "partner" ends at 2026-06-01T00:00:00Z
}

func ExampleLive() {
	v, _ := exampleCaller()
	live := certmap.NewLive(nil)
	if err := live.Put(certmap.Mapping{ID: "new", User: "bob", SPKI: v.SPKI()}); err != nil {
		log.Fatal(err)
	}
	match, _ := live.Map(context.Background(), v, "internal")
	fmt.Println(match.User, live.Remove("new"))
	// Output: bob true
}
