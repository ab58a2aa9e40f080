package guardspiffe_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/ports"
	guardspiffe "github.com/mtlsguard/mtlsguard/source/spiffe"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A server with a configuration file. The port internal presents the SVID of this workload, and
// trust_domains in the file names the bundles: spiffe/acme.example.pem.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	source, err := guardspiffe.New(ctx, guardspiffe.Config{}) // at SPIFFE_ENDPOINT_SOCKET
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	server, err := mtlsguard.OpenFS(source.Files(os.DirFS("/etc/orders"), "spiffe"), "mtlsguard.yaml", mtlsguard.Options{
		Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": source.GetCertificate},
		Log:          mtlsguard.JSONLog(os.Stderr, nil),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(ctx, http.DefaultServeMux); err != nil {
		log.Fatal(err)
	}
}

// A port in code, whose trust follows the bundles.
func ExampleSource_Follow() {
	ctx := context.Background()
	source, err := guardspiffe.New(ctx, guardspiffe.Config{Addr: "unix:///run/spire/agent.sock"})
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := trust.New(trust.Config{TrustDomains: source.Bundles()})
	if err != nil {
		log.Fatal(err)
	}
	port, err := ports.New(ports.Config{Name: "internal", Addr: "127.0.0.1:8443", ClientAuth: ports.Require, Certificate: source.GetCertificate, Trust: verifier})
	if err != nil {
		log.Fatal(err)
	}
	go source.Follow(ctx, func(bundles map[string][]*x509.Certificate) error {
		verifier, err := trust.New(trust.Config{TrustDomains: bundles})
		if err != nil {
			return err
		}
		c := port.Config()
		c.Trust = verifier
		return port.Reconfigure(c)
	})
	// Serve the port with a guard.
}

// Outgoing calls with the SVID.
func ExampleSource_Keystore() {
	ctx := context.Background()
	source, err := guardspiffe.New(ctx, guardspiffe.Config{})
	if err != nil {
		log.Fatal(err)
	}
	transport, err := outbound.New(outbound.Config{Keystore: source.Keystore("self"), Default: "self", Roots: source.Roots()})
	if err != nil {
		log.Fatal(err)
	}
	go source.Follow(ctx, func(map[string][]*x509.Certificate) error { return transport.SetRoots(source.Roots()) })
	client := &http.Client{Transport: transport}
	client.Get("https://billing.acme.example/invoices")
}

// The error of an address has a hint.
func ExampleNew() {
	_, err := guardspiffe.New(context.Background(), guardspiffe.Config{Addr: "/run/spire/agent.sock"})
	if e, ok := errors.AsType[*configerror.Error](err); ok {
		fmt.Println(e.Hint)
	}
	// Output: set Config.Addr, or SPIFFE_ENDPOINT_SOCKET, such as unix:///run/spire/agent.sock
}
