package middleware_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// exampleGuard returns a guard that accepts callers without a certificate on ports called public.
func exampleGuard(lines ...string) *middleware.Guard {
	rules, err := policy.Load("policy.csv", strings.NewReader(strings.Join(lines, "\n")+"\n"))
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{
		Map: exampleTable(), Policy: rules,
		PerPort: map[string]middleware.PortConfig{"public": {Fallback: middleware.ToDefault}},
		Ports:   []string{"partners", "public", "internal"}, // each has its own server
	})
	if err != nil {
		log.Fatal(err)
	}
	return guard
}

// exampleTable returns a table that maps the certificates of the staff.
func exampleTable() *certmap.Table {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	table, err := certmap.New(
		certmap.Mapping{ID: "staff", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: trust.SPKIOf(anchors[0])},
	)
	if err != nil {
		log.Fatal(err)
	}
	return table
}

// exampleListen serves h on a loopback port until stop is called.
func exampleListen(name string, mode ports.ClientAuth, h http.Handler) (port *ports.Port, stop func()) {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := ports.Files("../testdata/pki/server.pem", "../testdata/pki/server-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	port, err = ports.New(ports.Config{Name: name, Addr: "127.0.0.1:0", ClientAuth: mode, Trust: verifier, Certificate: certificate})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- (&ports.Server{Handler: h, Ports: []*ports.Port{port}, Ready: func() { close(ready) }}).Serve(ctx)
	}()
	<-ready
	return port, func() { cancel(); <-ended }
}

// exampleCall makes a request with the certificate of testdata/pki that has this name, or without
// one. It returns the status, and the body or the reason of the answer.
func exampleCall(port *ports.Port, name, method, path string) string {
	ca, err := os.ReadFile("../testdata/pki/server-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(ca)
	if name != "" {
		pair, err := tls.LoadX509KeyPair("../testdata/pki/"+name+".pem", "../testdata/pki/"+name+"-key.pem")
		if err != nil {
			log.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "https://"+port.Addr().String()+path, nil)
	if err != nil {
		log.Fatal(err)
	}
	res, err := (&http.Transport{TLSClientConfig: config, DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return "no connection"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if _, after, refused := strings.Cut(string(body), `"reason":"`); refused {
		why, _, _ := strings.Cut(after, `"`)
		return fmt.Sprint(res.StatusCode, " ", why)
	}
	return fmt.Sprint(res.StatusCode, " ", string(body))
}
