// Command pkcs11 serves a port, and calls it, with private keys that stay in a PKCS#11 token. See
// README.md for the commands that prepare a token.
//
//	go run . keys     makes two keys in the token, and certificates for them
//	go run . serve    serves a port with the key "server"
//	go run . call     calls it with the key "billing"
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	options := mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil), Ready: func() { fmt.Println("ready") }}
	if err := run(ctx, os.Args[1:], options, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, options mtlsguard.Options, out io.Writer) error {
	if len(arguments) == 0 {
		return errors.New("usage: pkcs11 keys | serve | call [URL]")
	}
	token, err := openToken()
	if err != nil {
		return err
	}
	defer token.Close()
	switch arguments[0] {
	case "keys":
		return makeKeys(token)
	case "serve":
		return serve(ctx, token, options)
	case "call":
		return call(ctx, token, append(arguments, "https://localhost:8443/orders/7")[1], out)
	}
	return fmt.Errorf("%q is not keys, serve or call", arguments[0])
}

// serve serves the port of the file with a key of the token.
func serve(ctx context.Context, token *token, options mtlsguard.Options) error {
	certificate, err := token.certificate("server")
	if err != nil {
		return err
	}
	options.Certificates = map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": ports.Static(certificate)}
	server, err := mtlsguard.Open("config/mtlsguard.yaml", options)
	if err != nil {
		return err
	}
	return server.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s\n", id.User)
	}))
}

// call calls a server with a key of the token.
func call(ctx context.Context, token *token, url string, out io.Writer) error {
	certificate, err := token.certificate("billing")
	if err != nil {
		return err
	}
	credential, err := outbound.NewCredential("billing", certificate)
	if err != nil {
		return err
	}
	var keys keystore.Memory
	if err := keys.Put(credential); err != nil {
		return err
	}
	authorities, err := trust.Files("pki/ca.pem")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	for _, a := range authorities {
		roots.AddCert(a)
	}
	transport, err := outbound.New(outbound.Config{Keystore: &keys, Roots: roots})
	if err != nil {
		return err
	}
	defer transport.Close()
	r, err := http.NewRequestWithContext(outbound.As(ctx, "billing"), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	fmt.Fprintln(out, res.Status)
	_, err = io.Copy(out, res.Body)
	return err
}
