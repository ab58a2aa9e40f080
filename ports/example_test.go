package ports_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A port in code, under the program's own http.Server. Its certificate is reloaded when the
// files change, and the program's settings about TLS are kept.
func ExamplePort_Configure() {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err) // with file, line and hint
	}
	verifier, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := ports.Files("../testdata/pki/server.pem", "../testdata/pki/server-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	port, err := ports.New(ports.Config{
		Name: "internal", Addr: "127.0.0.1:0", ClientAuth: ports.Require, Trust: verifier, Certificate: certificate,
		TLS: &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768, tls.X25519}},
	})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := port.Listen(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _ := ports.FromContext(r.Context()) // package middleware maps the certificate to a user
		verified, err := conn.Verified(r.Context())
		if err != nil {
			http.Error(w, "refused", http.StatusForbidden)
			return
		}
		fmt.Fprintf(w, "%s, by %s", verified.Leaf().Subject, tls.VersionName(r.TLS.Version))
	})}
	if err := port.Configure(srv); err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Close()

	fmt.Println(exampleGet("alice", "https://"+port.Addr().String()))
	fmt.Println(exampleGet("expired", "https://"+port.Addr().String()))

	srv = &http.Server{TLSConfig: &tls.Config{ClientAuth: tls.NoClientCert, InsecureSkipVerify: true}}
	fmt.Println(port.Configure(srv))
	// Output:
	// CN=alice,OU=Staff,O=Acme, by TLS 1.3
	// no connection
	// port "internal": http.Server.TLSConfig.InsecureSkipVerify is not honoured (the port verifies clients itself: set Config.ClientAuth and Config.Trust)
}

func exampleGet(name, url string) string {
	cert, err := tls.LoadX509KeyPair("../testdata/pki/"+name+".pem", "../testdata/pki/"+name+"-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile("../testdata/pki/server-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{cert}}}}
	res, err := client.Get(url)
	if err != nil {
		return "no connection"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return string(body)
}
