package trust_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func Example() {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err) // with file, line and hint
	}
	verifier, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range []string{"../testdata/pki/alice.pem", "../testdata/pki/expired.pem"} {
		presented, err := trust.Files(file)
		if err != nil {
			log.Fatal(err)
		}
		verified, err := verifier.Verify(context.Background(), presented)
		if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
			fmt.Println("refused:", refusal.Reason)
			continue
		}
		fmt.Println("verified:", verified.Leaf().Subject, "by", verified.Issuer().Subject)
	}
	// Output:
	// verified: CN=alice,OU=Staff,O=Acme by CN=Client CA,O=Acme
	// refused: expired
}
