package audit

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The same leaf can have another chain. The line names the issuer of this chain, not of the
// first chain that was logged.
// Covers L13.
func TestLineNamesTheIssuerOfItsOwnChain(t *testing.T) {
	t.Parallel()
	oldRoot, newRoot := testpki.NewCA("Old Root"), testpki.NewCA("New Root")
	oldCA := oldRoot.SubCA("Issuing CA")
	newCA := testpki.Make(newRoot, oldCA.Key, &x509.Certificate{
		Subject: oldCA.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: oldCA.Cert.KeyUsage, SubjectKeyId: oldCA.Cert.SubjectKeyId,
	})
	leaf := oldCA.Leaf("alice")
	verified := func(anchor, issuer *testpki.Pair) trust.Verified {
		v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{anchor.Cert}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := v.Verify(t.Context(), []*x509.Certificate{leaf.Cert, issuer.Cert})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var out bytes.Buffer
	e := New(newJSONLog(&out), new(atomic.Uint64))
	var want []string
	for range 2 {
		for _, v := range []struct{ anchor, issuer *testpki.Pair }{{oldRoot, oldCA}, {newRoot, newCA}} {
			o := middleware.Outcome{Allowed: true, Method: "GET", Path: "/", Port: "p", Verified: verified(v.anchor, v.issuer)}
			e.LogDecision(&http.Request{}, &o, nil)
			want = append(want, trust.FingerprintOf(v.issuer.Cert).String())
		}
	}
	e.Flush()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d", len(lines), len(want))
	}
	for i, line := range lines {
		if !strings.Contains(line, `"issuer_fingerprint":"`+want[i]+`"`) {
			t.Errorf("line %d: %s, want the issuer %s", i, line, want[i])
		}
	}
}

// verifiedLeaf returns a verified certificate.
func verifiedLeaf(t testing.TB) trust.Verified {
	t.Helper()
	ca := testpki.NewCA("Client CA")
	v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{ca.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := v.Verify(t.Context(), []*x509.Certificate{ca.Leaf("alice").Cert})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The fields of a certificate are made once, also where other certificates have its slots, and
// are never those of another certificate.
func TestFieldsOfACertificateAreMadeOnce(t *testing.T) {
	t.Parallel()
	var c certificateCache
	leaf := verifiedLeaf(t)
	k := c.fieldsOf(leaf)
	if c.fieldsOf(leaf) != k {
		t.Error("they were made twice")
	}
	other := c.fieldsOf(verifiedLeaf(t))
	if bytes.Equal(other.line, k.line) {
		t.Error("another certificate has the same fields")
	}
	for _, slot := range c.slots(leaf.Fingerprint()) {
		slot.Store(other)
	}
	again := c.fieldsOf(leaf)
	if again == other || !bytes.Equal(again.line, k.line) {
		t.Errorf("fields %s, want %s", again.line, k.line)
	}
	if c.fieldsOf(leaf) != again {
		t.Error("they are not kept where the slots are taken")
	}
}
