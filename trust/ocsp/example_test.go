package ocsp_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

func ExampleClient_Status() {
	ca := testpki.NewCA("Client CA")
	alice := ca.Leaf("alice")

	responder, err := ocsp.New(ocsp.Config{URL: "http://ocsp.example.org", Client: &http.Client{Transport: down{}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, _, err := responder.Status(context.Background(), alice.Cert, ca.Cert)
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

// down is a responder that is out of order.
type down struct{}

func (down) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody, Request: r}, nil
}
