package certmap_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// exampleCaller is a believed certificate, as a handshake gives it.
func exampleCaller(options ...testpki.Option) (v trust.Verified, ca trust.Digest) {
	authority := testpki.NewCA("Client CA")
	verifier := must(trust.New(trust.Config{Anchors: []*x509.Certificate{authority.Cert}}))
	return must(verifier.Verify(context.Background(), authority.Leaf("caller", options...).Presented())), trust.SPKIOf(authority.Cert)
}

func Example() {
	v, ca := exampleCaller(subject("CN=alice,OU=Staff,O=Acme"))
	table, err := certmap.New(
		certmap.Mapping{ID: "orders", User: "orders-api", URI: "spiffe://acme/ns/prod/sa/orders", Issuer: ca},
		certmap.Mapping{ID: "staff", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: ca},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	match, err := table.Map(context.Background(), v, "internal")
	fmt.Println(match.User, match.MappingID, err)
	// Output: alice staff <nil>
}

func ExampleTable_Explain() {
	v, ca := exampleCaller(subject("CN=alice,OU=Staff,O=Acme"))
	table := must(certmap.New(
		certmap.Mapping{ID: "pasted", User: "alice", Subject: "O=Acme,OU=Staff,CN=alice", Issuer: ca},
	))
	_, err := table.Map(context.Background(), v, "internal")
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		fmt.Println(refusal.Reason)
	}
	for _, step := range table.Explain(v, "internal") {
		fmt.Println(step.Result, "-", step.Why)
	}
	// Output:
	// unmapped
	// near miss - the same attributes in the reverse order: RFC 4514 begins with the most specific, which stands last in the certificate
}

func ExampleRead() {
	_, err := certmap.Read("users.yaml", []byte(`
mappings:
  - {id: alice, user: Default, fingerprint: 12ab}
  - {id: orders, user: orders, uri: "spiffe://Acme/orders"}
`), nil)
	fmt.Println(err)
	// Output:
	// users.yaml:3: mapping "alice": fingerprint: not a SHA-256: 64 hex digits are wanted, with or without colons and "sha256:" (openssl x509 -noout -fingerprint -sha256)
	// users.yaml:3: mapping "alice": the user "Default" is reserved (Default, Everybody, Authenticated and Anonymous are reserved, in any case)
	// users.yaml:4: mapping "orders": uri: a SPIFFE trust domain is lower-case letters, digits and . - _, with no user and no port (as the certificate says it, byte for byte: spiffe://acme/orders)
	// users.yaml:4: mapping "orders": uri needs an issuer: any trusted CA could make this user otherwise (issuer: FILE of the CA certificate, or the SHA-256 of its public key)
}

func ExampleParseSubject() {
	name, err := certmap.ParseSubject(`cn=Doe\, Jane, ou=Staff, o=Acme`)
	fmt.Println(name, err)
	// Output: CN=Doe\, Jane,OU=Staff,O=Acme <nil>
}

func ExampleLive() {
	v, _ := exampleCaller()
	live := certmap.NewLive(nil)
	if err := live.Put(certmap.Mapping{ID: "new", User: "bob", SPKI: v.SPKI()}); err != nil {
		fmt.Println(err)
		return
	}
	match, _ := live.Map(context.Background(), v, "internal")
	fmt.Println(match.User, live.Remove("new"))
	// Output: bob true
}
