package trust_test

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// An anchor that the list of another known authority revokes is not an anchor: with root
// and intermediate in one file, the root's list must still revoke the intermediate.
//
// Covers V6.
func TestAnchorThatAKnownListRevokes(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA("Root")
	sub := root.SubCA("Issuing")
	below := sub.SubCA("Below")
	alice, bob := sub.Leaf("alice"), below.Leaf("bob")
	pinned := sub.Leaf("gateway")
	clean := lists(root.CRL(1, nil), sub.CRL(1, nil), below.CRL(1, nil))
	dirty := lists(root.CRL(2, serials(sub)), sub.CRL(1, nil), below.CRL(1, nil))
	gone := lists(root.CRL(1, nil), sub.CRL(2, serials(pinned)))
	stale := lists(root.CRL(2, serials(sub), until(time.Now().Add(-time.Hour))))
	for _, row := range []struct {
		name      string
		anchors   certs
		crls      []*x509.RevocationList
		issuers   certs
		mode      trust.Revocation
		presented certs
		want      reason.Reason
	}{
		{"none is revoked", certs{root.Cert, sub.Cert}, clean, nil, trust.RevocationHard, alice.Presented(), ""},
		{"the intermediate is an anchor too", certs{root.Cert, sub.Cert}, dirty, nil, trust.RevocationHard, alice.Presented(), reason.Revoked},
		{"in the other order", certs{sub.Cert, root.Cert}, dirty, nil, trust.RevocationHard, alice.Presented(), reason.Revoked},
		{"without the intermediate in the chain", certs{root.Cert, sub.Cert}, dirty, nil, trust.RevocationHard, certs{alice.Cert}, reason.Revoked},
		{"soft", certs{root.Cert, sub.Cert}, dirty, nil, trust.RevocationSoft, alice.Presented(), reason.Revoked},
		{"soft, and the list is stale", certs{root.Cert, sub.Cert}, stale, nil, trust.RevocationSoft, alice.Presented(), reason.Revoked},
		{"off", certs{root.Cert, sub.Cert}, dirty, nil, trust.RevocationOff, alice.Presented(), ""},
		{"further down", certs{root.Cert, sub.Cert}, dirty, nil, trust.RevocationSoft, bob.Presented(), reason.Revoked},
		{"an anchor below a revoked one", certs{root.Cert, sub.Cert, below.Cert}, dirty, nil, trust.RevocationSoft, bob.Presented(), reason.Revoked},
		{"the root is a CRL issuer alone", certs{sub.Cert}, dirty, certs{root.Cert}, trust.RevocationHard, alice.Presented(), reason.Revoked},
		{"the root is not known", certs{sub.Cert}, dirty, nil, trust.RevocationHard, alice.Presented(), ""},
		{"a pinned leaf", certs{pinned.Cert}, gone, certs{sub.Cert}, trust.RevocationSoft, certs{pinned.Cert}, reason.Revoked},
		{"a pinned leaf, hard", certs{pinned.Cert}, gone, certs{sub.Cert}, trust.RevocationHard, certs{pinned.Cert}, reason.Revoked},
		{"a pinned leaf that is not revoked", certs{pinned.Cert}, clean, certs{sub.Cert}, trust.RevocationSoft, certs{pinned.Cert}, ""},
	} {
		v, err := trust.New(trust.Config{Anchors: row.anchors, CRLs: row.crls, CRLIssuers: row.issuers, Revocation: row.mode})
		if err != nil {
			t.Errorf("%s: the verifier: %v", row.name, err)
			continue
		}
		_, err = v.Verify(context.Background(), row.presented)
		if got := reasonIn(err); got != row.want {
			t.Errorf("%s: %q (%v), want %q", row.name, got, err, row.want)
		}
		warned := strings.Contains(strings.Join(warningsOf(v), "\n"), "is revoked by")
		if warned != (row.want == reason.Revoked) {
			t.Errorf("%s: warnings %q", row.name, warningsOf(v))
		}
	}
}

// A self-signed root is not revoked by its own list: some authorities have issued a
// certificate with their own serial number.
func TestRootIsNotRevokedByItsOwnList(t *testing.T) {
	t.Parallel()
	root := testpki.NewCA("Root")
	alice := root.Leaf("alice")
	v, err := trust.New(trust.Config{Anchors: certs{root.Cert}, CRLs: lists(root.CRL(1, serials(root)))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(context.Background(), alice.Presented()); err != nil {
		t.Error(err)
	}
}

// OpenSSL, called as nginx calls it, refuses a leaf whose revoked intermediate is among the
// anchors.
func TestRevokedAnchorIsRefusedByOpenSSLToo(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	root := testpki.NewCA("Root")
	sub := root.SubCA("Issuing")
	alice := sub.Leaf("alice")
	dir := t.TempDir()
	w := &generated{anchors: certs{root.Cert, sub.Cert}, lists: [][]byte{root.CRL(2, serials(sub)).Raw, sub.CRL(1, nil).Raw}}
	w.write(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "alice.pem"), alice.CertPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "openssl", "verify", "-crl_check_all", "-no-CAstore", "-no-CApath", "-CAfile", "anchors.pem", "-CRLfile", "lists.pem", "alice.pem")
	command.Dir = dir
	if out, err := command.CombinedOutput(); err == nil || !strings.Contains(string(out), "certificate revoked") {
		t.Errorf("openssl: %v: %s, want a revoked certificate", err, out)
	}
}

// reasonIn returns the reason of err, or "" if err is not a refusal.
func reasonIn(err error) reason.Reason {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok {
		return ""
	}
	return refusal.Reason
}
