package trust_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func Example() {
	verifier, err := trust.New(trust.Config{Anchors: readPEM("../testdata/pki/client-ca.pem")})
	if err != nil {
		log.Fatal(err)
	}
	for _, file := range []string{"../testdata/pki/alice.pem", "../testdata/pki/expired.pem"} {
		verified, err := verifier.Verify(context.Background(), readPEM(file))
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

func readPEM(file string) []*x509.Certificate {
	data, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	certificates, err := trust.ReadCertificates(file, data)
	if err != nil {
		log.Fatal(err)
	}
	return certificates
}
