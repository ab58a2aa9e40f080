package guardgrpc_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A gateway that ends TLS forwards certificates in metadata, for many callers on one connection.
func TestCallsThroughAGateway(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	gateways := testpki.NewCA("Gateway CA")
	gateway := gateways.Leaf("gateway")
	gatewayTrust := must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{gateways.Cert}}))
	users := must[*trust.Verifier](t)(trust.New(trust.Config{Anchors: []*x509.Certificate{s.ca.Cert}, Now: s.clock.Now}))
	c := s.portConfig(t, ports.Require)
	c.Trust = gatewayTrust
	s.port = must[*ports.Port](t)(ports.New(c))
	s.config.Forwarded = must[*forwarded.Receiver](t)(forwarded.New(forwarded.Config{
		Topology: forwarded.RFC9440(), Users: users,
		Gateways: forwarded.Gateways{Pins: []trust.Digest{trust.FingerprintOf(gateway.Cert)}, Trust: gatewayTrust},
	}))
	s.guard = must[*middleware.Guard](t)(middleware.New(s.config))
	s.serve(t, s.options()...)
	cc := s.dial(t, gateway)
	as := func(p *testpki.Pair) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "client-cert", ":"+base64.StdEncoding.EncodeToString(p.Cert.Raw)+":")
	}
	if got, err := say(as(s.alice), cc, "hello"); err != nil || got != "alice hello" { // the header itself is deleted
		t.Errorf("alice: %q %v", got, err)
	}
	_, err := say(as(s.bob), cc, "hello")
	wants(t, err, codes.PermissionDenied, "(no-rule, reference ")
	_, err = say(t.Context(), cc, "hello")
	wants(t, err, codes.PermissionDenied, "(no-certificate, reference ")
	stranger := testpki.NewCA("Other CA").Leaf("alice")
	_, err = say(as(stranger), cc, "hello")
	wants(t, err, codes.PermissionDenied, "(unknown-authority, reference ")

	stream := must[grpc.ClientStream](t)(cc.NewStream(as(s.alice), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/acme.Echo/Chat"))
	if err := send(stream, "a"); err != nil {
		t.Fatal(err)
	}
	if got, err := receive(stream); err != nil || got != "alice a" {
		t.Fatalf("got %q %v, want alice a", got, err)
	}
	start := time.Now()
	s.clock.Set(s.alice.Cert.NotAfter.Add(time.Minute))
	_, err = receive(stream)
	wants(t, err, codes.PermissionDenied, "The client certificate ")
	if took := time.Since(start); took > 10*time.Second { // a second, and a busy machine
		t.Errorf("after %v", took)
	}
	_, err = say(as(s.alice), cc, "hello") // over the same connection: it is the gateway's
	wants(t, err, codes.PermissionDenied, "(expired, reference ")
	if o := s.last(); o.Reason != reason.Expired || o.Gateway.IsZero() {
		t.Errorf("observed %+v", o)
	}
}

// Config.Refuse comes first, and never makes a refusal a success.
func TestOwnRefusalKeepsTheCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, ports.Require, aliceMayEcho)
	s.config.Refuse = ownRefusal
	s.guard = must[*middleware.Guard](t)(middleware.New(s.config))
	s.serve(t, s.options()...)
	_, err := say(t.Context(), s.dial(t, s.bob), "hello")
	wants(t, err, codes.PermissionDenied, "Forbidden")
	if strings.Contains(err.Error(), "no-rule") {
		t.Errorf("the guard has answered: %v", err)
	}
}
