package ports_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// refusedHolder is a client whose certificate is refused, and the alert that crypto/tls would send.
type refusedHolder struct {
	name    string
	holder  *testpki.Pair
	reason  reason.Reason
	alert   string // as Go names it
	openssl string // as OpenSSL names it
}

func refusedHolders() []refusedHolder {
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	future := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	return []refusedHolder{
		{"expired", clientCA.Leaf("old", past), reason.Expired, "expired certificate", "certificate expired"},
		{"not yet valid", clientCA.Leaf("new", future), reason.NotYetValid, "expired certificate", "certificate expired"},
		{"unknown authority", otherCA.Leaf("alice"), reason.UnknownAuthority, "unknown certificate authority", "unknown ca"},
		{"self-signed", testpki.Make(nil, testpki.NewKey(), &x509.Certificate{Subject: alice.Cert.Subject}), reason.UnknownAuthority, "unknown certificate authority", "unknown ca"},
		{"revoked", bob, reason.Revoked, "revoked certificate", "certificate revoked"},
		{"wrong usage", clientCA.Leaf("server", server), reason.WrongUsage, "bad certificate", "bad certificate"},
		{"an authority", clientCA.SubCA("sub"), reason.NotALeaf, "bad certificate", "bad certificate"},
	}
}

// alertOf returns the error of a client that the port refuses, and the client's address.
func alertOf(t *testing.T, p *ports.Port, c *tls.Config) (net.Addr, error) {
	t.Helper()
	raw, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(patience))
	if _, err = tls.Client(raw, c).Read(make([]byte, 1)); err == nil {
		t.Fatal("the client is not refused")
	}
	return raw.LocalAddr(), err
}

func TestAlertNamesWhatIsWrongWithTheCertificate(t *testing.T) {
	t.Parallel()
	for _, mode := range []ports.ClientAuth{ports.Require, ports.Request} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, hide := range []bool{false, true} {
				c, e := config(t, mode)
				c.Trust, c.HideAuthorities = byClientCA(t, bob), hide
				p := serving(t, c)
				for _, row := range refusedHolders() {
					want := row.alert
					if hide {
						want = "bad certificate" // the alert reveals nothing about the authorities
					}
					cc := clientConfig(row.holder, func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
					local, err := alertOf(t, p, cc)
					if r := e.of(t, local).Reason; r != row.reason || err.Error() != "remote error: tls: "+want {
						t.Errorf("%v, %s, hidden %v, %s: %s, %v, want %q", mode, tls.VersionName(version), hide, row.name, r, err, want)
					}
				}
			}
		}
	}
}

func TestAlertOfAResumedSession(t *testing.T) {
	t.Parallel()
	versions(t, func(t *testing.T, cache *anyKey, with tlsOption) {
		var shift atomic.Int64
		c, e := config(t, ports.Require)
		c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Now: func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }})
		p := serving(t, c)
		cc := clientConfig(alice, with)
		visit(t, p, cache, cc, "alice")
		shift.Store(int64(48 * time.Hour))
		local, err := alertOf(t, p, cc)
		if h := e.of(t, local); !h.Resumed || h.Reason != reason.Expired || err.Error() != "remote error: tls: expired certificate" {
			t.Errorf("resumed %v, %s: %v", h.Resumed, h.Reason, err)
		}
	})
}

func TestOpenSSLReadsTheAlert(t *testing.T) {
	t.Parallel()
	openssl := testkit.Program(t, "openssl", "openssl")
	c, _ := config(t, ports.Require)
	c.Trust = byClientCA(t, bob)
	p := serving(t, c)
	for _, row := range refusedHolders() {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"cert.pem": row.holder.CertPEM(), "key.pem": row.holder.KeyPEM()} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, with := range [][]string{
			{"-tls1_2"},
			{"-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"},
			{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"},
			{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
			{"-tls1_3", "-curves", "P-521"}, // the server asks for another key share first
		} {
			command := exec.Command(openssl, append([]string{"s_client", "-connect", p.Addr().String(), "-cert", "cert.pem", "-key", "key.pem"}, with...)...)
			command.Dir = dir
			in, err := command.StdinPipe() // open: s_client waits for the alert
			if err != nil {
				t.Fatal(err)
			}
			out, _ := command.CombinedOutput()
			in.Close()
			if !strings.Contains(string(out), "alert "+row.openssl) {
				t.Errorf("%s, %v: no %q in %s", row.name, with, row.openssl, out)
			}
		}
	}
}
