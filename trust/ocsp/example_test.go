package ocsp_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

func ExampleClient_Status() {
	responder, err := ocsp.New(ocsp.Config{URL: "http://ocsp.example.org", Client: &http.Client{Transport: unavailable{}}})
	if err != nil {
		log.Fatal(err)
	}
	alice, authority := readPEM("../../testdata/pki/alice.pem"), readPEM("../../testdata/pki/client-ca.pem")
	status, _, err := responder.Status(context.Background(), alice, authority)
	switch status {
	case trust.StatusGood:
		fmt.Println("good")
	case trust.StatusRevoked:
		fmt.Println("revoked")
	case trust.StatusUnknown:
		fmt.Println("unknown:", err)
	}
	// Output: unknown: ocsp: the responder returned HTTP 503
}

// unavailable is a responder with an outage.
type unavailable struct{}

func (unavailable) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
}

func readPEM(file string) *x509.Certificate {
	data, err := os.ReadFile(file)
	if err != nil {
		log.Fatal(err)
	}
	certificates, err := trust.ReadCertificates(file, data)
	if err != nil {
		log.Fatal(err)
	}
	return certificates[0]
}
