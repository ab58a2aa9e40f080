package main

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// partnerPort returns a port that requires a certificate of one of the partner's clients.
func partnerPort(addr string) (*ports.Port, error) {
	own, err := pair("server")
	if err != nil {
		return nil, err
	}
	data, err := pki.Files.ReadFile("client-ca.pem")
	if err != nil {
		return nil, err
	}
	anchors, err := trust.ReadCertificates("client-ca.pem", data)
	if err != nil {
		return nil, err
	}
	verifier, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		return nil, err
	}
	return ports.New(ports.Config{
		Name: "partner", Addr: addr, ClientAuth: ports.Require, Trust: verifier,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil },
	})
}

// partner answers with the common name in the client's certificate.
func partner() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName)
	})
}

// pair returns one of the test certificates with its key.
func pair(name string) (tls.Certificate, error) {
	certificate, err := pki.Files.ReadFile(name + ".pem")
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := pki.Files.ReadFile(name + "-key.pem")
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}
