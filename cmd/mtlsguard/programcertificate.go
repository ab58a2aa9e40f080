package main

import (
	"crypto/tls"
	"errors"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

// errProgram is the error of a certificate that only the server's program has.
var errProgram = errors.New("the certificate of this port comes from the server's program")

// programCertificates stands for the certificates of a server's program: it has a function for each
// port of a configuration without one. The command never presents a certificate of a port, and
// lint reports these ports. A program that provides none does not start.
func programCertificates(config string) map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	data, err := certfile.ReadFile(config)
	if err != nil {
		return nil // reported by who loads it
	}
	var f struct {
		Ports []struct {
			Name        string
			Certificate yaml.Node
		}
	}
	_ = strictyaml.Decode(config, data, &f) // likewise
	out := map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){}
	for _, p := range f.Ports {
		if p.Name != "" && p.Certificate.IsZero() {
			out[p.Name] = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errProgram }
		}
	}
	return out
}

// program stands for the program around a configuration, for site.Load.
func program(config string) site.Program {
	return site.Program{Certificates: programCertificates(config)}
}
