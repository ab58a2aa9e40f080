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
	nobody, alice, stranger := []*x509.Certificate(nil), ca.Leaf("alice").Presented(), other.Leaf("alice").Presented()
	for _, row := range []struct {
		name      string
		mode      ports.ClientAuth
		presented []*x509.Certificate
		handshake reason.Reason // that refuses it; empty: it is finished
		request   reason.Reason // that Verified answers with
	}{
		{"none, nobody", ports.None, nobody, "", reason.NoCertificate},
		{"none, alice is not asked", ports.None, alice, "", reason.NoCertificate},
		{"none, a stranger is not asked", ports.None, stranger, "", reason.NoCertificate},
		{"request, nobody", ports.Request, nobody, "", reason.NoCertificate},
		{"request, alice", ports.Request, alice, "", ""},
		{"request, a stranger", ports.Request, stranger, reason.UnknownAuthority, ""},
		{"require, nobody", ports.Require, nobody, reason.NoCertificate, ""},
		{"require, alice", ports.Require, alice, "", ""},
		{"require, a stranger", ports.Require, stranger, reason.UnknownAuthority, ""},
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
		if word(err) != row.handshake {
			t.Errorf("%s: the handshake says %v, want %q", row.name, err, row.handshake)
		}
		if err != nil {
			continue
		}
		conn, ok := ports.FromContext(ctx)
		if !ok || conn.Port() != p || conn.ServerName() != "localhost" {
			t.Fatalf("%s: %v %t", row.name, conn, ok)
		}
		verified, err := conn.Verified(ctx)
		if word(err) != row.request || verified.IsZero() != (row.request != "") {
			t.Errorf("%s: the request says %v, want %q", row.name, err, row.request)
		}
		if row.request == "" {
			later := now
			now = now.Add(48 * time.Hour)
			if verified, err := conn.Verified(ctx); word(err) != reason.Expired || !verified.IsZero() {
				t.Errorf("%s: two days later %v", row.name, err)
			}
			now = later
		}
		if p.ConnCount() != 0 {
			t.Errorf("%s: it counts as a connection", row.name)
		}
	}
}

func word(err error) reason.Reason {
	if r, ok := err.(*reason.Refusal); ok {
		return r.Reason
	}
	return ""
}

// A certificate that is verified as a server's identifies no client.
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
	if _, err := conn.VerifiedBy(t.Context(), forServers(t, c.Trust)); word(err) != reason.WrongUsage {
		t.Errorf("%v", err)
	}
	if _, err := conn.VerifiedBy(t.Context(), c.Trust); err != nil {
		t.Error(err)
	}
}
