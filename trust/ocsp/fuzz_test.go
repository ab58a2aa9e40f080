package ocsp_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
	"github.com/mtlsguard/mtlsguard/trust/ocsp"
)

// fixed returns the same key in every process: one process makes the seeds, and another
// one runs them.
func fixed(t testing.TB, fill byte) *ecdsa.PrivateKey {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{fill}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// FuzzResponse sends arbitrary bytes as the answer. Nothing panics, and the status is good
// only if the authority signed good.
func FuzzResponse(f *testing.F) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	dates := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour) }
	serial := func(n int64) testpki.Option {
		return func(c *x509.Certificate) { dates(c); c.SerialNumber = big.NewInt(n) }
	}
	authority := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	authority.Subject.CommonName = "Client CA"
	ca := testpki.Make(nil, fixed(f, 1), authority, serial(1))
	other := testpki.Make(nil, fixed(f, 2), authority, serial(1))
	leaf := ca.LeafWithKey("alice", fixed(f, 3), serial(7))
	d := testpki.Make(ca, fixed(f, 4), delegate(ca).Cert, serial(8), func(c *x509.Certificate) { c.ExtraExtensions = c.Extensions[len(c.Extensions)-1:] })

	var acceptable [][]byte // the signed data of answers with the status good
	seed := func(isGood bool, change func(*reply)) {
		r := replyTo(ca, leaf.Cert, now)
		change(r)
		der := r.der()
		f.Add(der)
		if isGood {
			var b basic
			must(asn1.Unmarshal(bodyOf(der), &b))
			acceptable = append(acceptable, b.Data.FullBytes)
		}
	}
	seed(true, func(*reply) {})
	seed(true, func(r *reply) { r.signedBy(d) })
	seed(true, func(r *reply) { r.Responder, r.Singles[0].Next = byKey(ca.Cert), time.Time{} })
	seed(false, isRevoked)
	seed(false, func(r *reply) { r.Singles[0].Status = unknown })
	seed(false, func(r *reply) { r.Signer = other })
	seed(false, func(r *reply) { r.signedBy(other) })
	seed(false, func(r *reply) { r.Singles = append(r.Singles, r.Singles[0]); isRevoked(r) })
	f.Add(tryLater)
	f.Add([]byte{0x30, 0x80, 0, 0})

	f.Fuzz(func(t *testing.T, der []byte) {
		header := http.Header{"Content-Type": {"application/ocsp-response"}}
		client, err := ocsp.New(ocsp.Config{
			URL: "http://ocsp.test", Now: func() time.Time { return now },
			Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(bytes.NewReader(der)), Request: r}, nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		status, _, err := client.Status(t.Context(), leaf.Cert, ca.Cert)
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("panicked")) {
			t.Fatal(err)
		}
		if status != trust.StatusGood {
			return
		}
		for _, b := range acceptable {
			if bytes.Contains(der, b) {
				return
			}
		}
		t.Fatalf("good, but not signed by the authority: %x", der)
	})
}
