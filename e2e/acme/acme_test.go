package acme

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// acmeIdentifier is the extension of a challenge certificate (RFC 8737 section 3).
var acmeIdentifier = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// certmagic obtains and renews the certificate of a port that requires client certificates, by the
// challenge tls-alpn-01 on that port. Only the connections of the challenge have no client
// certificate, and none of them reaches the handler.
func TestCertmagicRenewsTheCertificateOfAPort(t *testing.T) {
	w := newWorld(t)
	if status, _ := w.get(w.alice); !strings.HasPrefix(status, "refused") {
		t.Errorf("without a certificate: %s", status)
	}
	w.obtain()
	status, first := w.get(w.alice)
	if status != "200 OK" || first.DNSNames[0] != name {
		t.Fatalf("got %s, %v; want 200 and a certificate for %s", status, first, name)
	}
	if status, _ := w.get(nil); !strings.HasPrefix(status, "refused") {
		t.Errorf("a caller without a certificate: %s", status)
	}
	testkit.Eventually(t, "certmagic renews the certificate", func() bool {
		status, now := w.get(w.alice)
		if status != "200 OK" {
			t.Fatal(status)
		}
		return !now.Equal(first)
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	challenges := 0
	for _, h := range w.handshakes {
		if h.Err != nil && strings.Contains(h.Err.Error(), "was a challenge of ACME") {
			challenges++
			if h.Reason != "" || len(h.Presented) > 0 || h.ServerName != name {
				t.Errorf("got %+v, want a challenge for %s without a certificate", h, name)
			}
		}
	}
	if challenges < 2 {
		t.Errorf("the port answered %d challenges", challenges)
	}
	if slices.Contains(w.protocols, "acme-tls/1") {
		t.Errorf("requests reached the handler by %q", w.protocols)
	}
}

// The challenge opens no way around the trust: its connection carries no data and no session,
// whatever else the client offers, and a certificate for it exists only while a challenge runs.
func TestChallengeIsNoWayIn(t *testing.T) {
	w := newWorld(t)
	w.obtain()
	sessions := tls.NewLRUClientSessionCache(8)
	dial := func(protos ...string) (*tls.Conn, error) {
		return tls.Dial("tcp", w.addr, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protos, ClientSessionCache: sessions, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{}, nil
		}})
	}
	// No challenge runs: certmagic has nothing for this handshake.
	if c, err := dial("acme-tls/1"); err == nil {
		if slices.ContainsFunc(c.ConnectionState().PeerCertificates[0].Extensions, func(e pkix.Extension) bool { return e.Id.Equal(acmeIdentifier) }) {
			t.Error("a challenge certificate exists")
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n"); err == nil {
			if n, err := c.Read(make([]byte, 1)); err == nil {
				t.Errorf("an answer of %d bytes", n)
			}
		}
		c.Close()
	}
	for _, protos := range [][]string{{"acme-tls/1", "h2"}, {"h2", "acme-tls/1"}, {"http/1.1", "acme-tls/1"}, {"acme-tls/1", "acme-tls/1"}, {"ACME-TLS/1"}, {"h2"}, nil} {
		c, err := dial(protos...)
		if err != nil {
			continue // also for protocols that the port does not support
		}
		c.SetDeadline(time.Now().Add(testkit.Patience))
		if c.ConnectionState().DidResume {
			t.Errorf("%q: a session resumed", protos)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+name+"\r\n\r\n")
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%q: an answer of %d bytes without a client certificate", protos, n)
		}
		c.Close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.protocols) > 0 {
		t.Errorf("requests reached the handler by %q", w.protocols)
	}
}
