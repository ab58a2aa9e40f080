package outbound_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// One client presents a certificate for each call.
func Example() {
	partner := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	partner.TLS = &tls.Config{Certificates: []tls.Certificate{keyPair("server")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: certPool("client-ca.pem")}
	partner.StartTLS()
	defer partner.Close()

	keys := new(keystore.Memory)
	for alias, name := range map[string]string{"client-a": "alice", "client-b": "bob"} {
		credential, err := outbound.NewCredential(alias, keyPair(name), partner.URL)
		if err != nil {
			panic(err)
		}
		if err := keys.Put(credential); err != nil {
			panic(err)
		}
	}
	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: certPool("server-ca.pem")})
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
	// hello alice <nil>
	// hello bob <nil>
}

// keyPair reads a certificate with its key.
func keyPair(name string) tls.Certificate {
	pair, err := tls.LoadX509KeyPair("../testdata/pki/"+name+".pem", "../testdata/pki/"+name+"-key.pem")
	if err != nil {
		panic(err)
	}
	return pair
}

// certPool reads the certificates of authorities.
func certPool(name string) *x509.CertPool {
	data, err := os.ReadFile("../testdata/pki/" + name)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	return pool
}

// A call without a choice is an error, not a call without a certificate.
func Example_incorrect() {
	transport, err := outbound.New(outbound.Config{Keystore: new(keystore.Memory), SystemRoots: true})
	if err != nil {
		panic(err)
	}
	_, err = (&http.Client{Transport: transport}).Get("https://api.partner.example")
	fmt.Println(err)
	// Output: Get "https://api.partner.example": outbound: to https://api.partner.example: no identity was chosen, and there is no default: use As, AsDefault or AsNobody
}
