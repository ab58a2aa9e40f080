package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A simulated connection is verified as a real one, at the handshake and at every request.
func TestSimulatedHandshake(t *testing.T) {
	t.Parallel()
	ca, other := testpki.NewCA("CA"), testpki.NewCA("CA")
	pair := testpki.NewCA("Server CA").Server().TLS()
	now := time.Now()
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	none, alice, untrusted := []*x509.Certificate(nil), ca.Leaf("alice").Presented(), other.Leaf("alice").Presented()
	for _, row := range []struct {
		name      string
		mode      ports.ClientAuth
		presented []*x509.Certificate
		handshake reason.Reason // of the refused handshake; "" if it succeeds
		request   reason.Reason // of the error of Verified
	}{
		{"none, no certificate", ports.None, none, "", reason.NoCertificate},
		{"none, alice is ignored", ports.None, alice, "", reason.NoCertificate},
		{"none, an untrusted one is ignored", ports.None, untrusted, "", reason.NoCertificate},
		{"request, no certificate", ports.Request, none, "", reason.NoCertificate},
		{"request, alice", ports.Request, alice, "", ""},
		{"request, untrusted", ports.Request, untrusted, reason.UnknownAuthority, ""},
		{"require, no certificate", ports.Require, none, reason.NoCertificate, ""},
		{"require, alice", ports.Require, alice, "", ""},
		{"require, untrusted", ports.Require, untrusted, reason.UnknownAuthority, ""},
	} {
		c := ports.Config{Name: "p", Addr: "127.0.0.1:0", ClientAuth: row.mode, Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }}
		if row.mode != ports.None {
			c.Trust = v
		}
		p, err := ports.New(c)
		if err != nil {
			t.Fatal(err)
		}
		ctx, err := connstate.Simulate(t.Context(), p, connstate.Client{Certificates: row.presented, ServerName: "localhost"})
		if reasonOf(err) != row.handshake {
			t.Errorf("%s: the handshake: %v, want %q", row.name, err, row.handshake)
		}
		if err != nil {
			continue
		}
		conn, ok := ports.FromContext(ctx)
		if !ok || conn.Port() != p || conn.ServerName() != "localhost" {
			t.Fatalf("%s: got the connection %v, %t; want one to localhost on the port", row.name, conn, ok)
		}
		verified, err := conn.Verified(ctx)
		if reasonOf(err) != row.request || verified.IsZero() != (row.request != "") {
			t.Errorf("%s: the request: %v, want %q", row.name, err, row.request)
		}
		if row.request == "" {
			later := now
			now = now.Add(48 * time.Hour)
			if verified, err := conn.Verified(ctx); reasonOf(err) != reason.Expired || !verified.IsZero() {
				t.Errorf("%s: two days later %v", row.name, err)
			}
			now = later
		}
		if p.ConnCount() != 0 {
			t.Errorf("%s: the simulation counts as a connection", row.name)
		}
	}
}

func reasonOf(err error) reason.Reason {
	if r, ok := err.(*reason.Refusal); ok {
		return r.Reason
	}
	return ""
}

// A certificate that is verified for usage server identifies no client.
// Covers B2.
func TestVerifierForServersTrustsNoClient(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.Require)
	p, err := ports.New(c)
	if err != nil {
		t.Fatal(err)
	}
	alice := clientCA.Leaf("alice", func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) })
	ctx, err := connstate.Simulate(t.Context(), p, connstate.Client{Certificates: alice.Presented(), ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	conn, _ := ports.FromContext(ctx)
	if _, err := conn.VerifiedBy(t.Context(), c.Trust); err != nil {
		t.Error(err)
	}
	if _, err := conn.VerifiedBy(t.Context(), forServers(t, c.Trust)); reasonOf(err) != reason.WrongUsage {
		t.Errorf("got %v, want %s", err, reason.WrongUsage)
	}
	if _, err := conn.VerifiedBy(t.Context(), c.Trust); err != nil {
		t.Error(err)
	}
}
