package outbound_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// One client, a certificate for each call.
func Example() {
	ca := testpki.NewCA("CA of an example")
	partner := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	partner.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	partner.StartTLS()
	defer partner.Close()

	keys := new(keystore.Memory)
	for _, alias := range []string{"client-a", "client-b"} {
		credential, err := outbound.NewCredential(alias, ca.Leaf(alias).TLS(), partner.URL)
		if err != nil {
			panic(err)
		}
		if err := keys.Put(credential); err != nil {
			panic(err)
		}
	}
	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: ca.Pool()})
	if err != nil {
		panic(err)
	}
	defer transport.Close()
	client := &http.Client{Transport: transport}

	for _, alias := range []string{"client-a", "client-b"} {
		ctx := outbound.As(context.Background(), alias)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, partner.URL, nil)
		if err != nil {
			panic(err)
		}
		response, err := client.Do(r)
		if err != nil {
			panic(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Println(string(body), err)
	}
	// Output:
	// hello client-a <nil>
	// hello client-b <nil>
}

// Leaving out the choice is a mistake, and not a call without a certificate.
func Example_incorrect() {
	transport, err := outbound.New(outbound.Config{Keystore: new(keystore.Memory), SystemRoots: true})
	if err != nil {
		panic(err)
	}
	_, err = (&http.Client{Transport: transport}).Get("https://api.partner.example")
	fmt.Println(err)
	// Output: Get "https://api.partner.example": outbound: to https://api.partner.example: no identity was chosen, and there is no default: use As, AsDefault or AsNobody
}
