package trust_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// seeds adds the files of testdata/pki with one of the endings.
func seeds(f *testing.F, add func([]byte), endings ...string) {
	entries, err := pki.Files.ReadDir(".")
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		for _, ending := range endings {
			if name := e.Name(); len(name) > len(ending) && name[len(name)-len(ending):] == ending {
				data, err := pki.Files.ReadFile(name)
				if err != nil {
					f.Fatal(err)
				}
				if len(data) < 4096 {
					add(data)
				}
			}
		}
	}
}

func FuzzReadCertificates(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b) }, ".pem")
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := trust.ReadCertificates("x", data)
		switch {
		case err == nil && len(got) == 0:
			t.Error("no certificates, and no error")
		case err != nil && (len(got) != 0 || len(configerror.All(err)) == 0):
			t.Errorf("%d certificates with %v", len(got), err)
		}
		for _, c := range got {
			if c == nil || len(c.Raw) == 0 {
				t.Error("a certificate without bytes")
			}
		}
	})
}

func FuzzReadCRLs(f *testing.F) {
	seeds(f, func(b []byte) { f.Add(b) }, ".crl", ".der")
	ca := testpki.NewCA("Client CA")
	scoped := ca.CRL(1, nil, idp{Users: true, Point: at(f, "http://crl.example/")}.change(f))
	f.Add(scoped.Raw)
	alice := ca.Leaf("alice").Presented()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := trustaccess.ReadCRLs("x", data)
		if err == nil && len(got) == 0 || err != nil && len(got) != 0 {
			t.Fatalf("%d lists, %v", len(got), err)
		}
		for _, l := range got {
			// A list of another authority never shows that a certificate is not revoked.
			v, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(l.List)})
			if err != nil {
				continue
			}
			if _, err := v.Verify(context.Background(), alice); err == nil && l.List.CheckSignatureFrom(ca.Cert) != nil {
				t.Error("trusted by a list of another authority")
			}
		}
	})
}

// FuzzVerify takes a list of certificates in DER, one after the other.
func FuzzVerify(f *testing.F) {
	anchor, err := pki.Files.ReadFile("client-ca.pem")
	if err != nil {
		f.Fatal(err)
	}
	anchors, err := trust.ReadCertificates("client-ca.pem", anchor)
	if err != nil {
		f.Fatal(err)
	}
	seeds(f, func(b []byte) {
		list, err := trust.ReadCertificates("x", b)
		if err != nil {
			return
		}
		var der []byte
		for _, c := range list {
			der = append(der, c.Raw...)
		}
		f.Add(der)
		f.Add(append(slices.Clone(anchors[0].Raw), der...))
		f.Add(append(der, anchors[0].Raw...))
	}, ".pem")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	config := trust.Config{Anchors: anchors, Now: func() time.Time { return at }}
	strict := verifier(f, config)
	config.Profile, config.Revocation = trust.Compatible, trust.RevocationSoft
	compatible := verifier(f, config)
	f.Fuzz(func(t *testing.T, data []byte) {
		var presented certs
		for len(data) > 0 && len(presented) < 12 {
			var one asn1.RawValue
			rest, err := asn1.Unmarshal(data, &one)
			if err != nil {
				break
			}
			if c, err := x509.ParseCertificate(one.FullBytes); err == nil {
				presented = append(presented, c)
			}
			data = rest
		}
		for _, v := range []*trust.Verifier{strict, compatible} {
			got, err := v.Verify(context.Background(), presented)
			if err != nil {
				reasonOf(t, err)
				continue
			}
			checkVerified(t, got, presented, anchors[0], at)
		}
	})
}

// checkVerified checks the chain of a trusted certificate without the Verifier.
func checkVerified(t *testing.T, got trust.Verified, presented certs, anchor *x509.Certificate, at time.Time) {
	t.Helper()
	if got.IsZero() || !got.Leaf().Equal(presented[0]) || got.Leaf().IsCA || !got.ValidAt(at) {
		t.Fatal("another certificate than the leaf is trusted")
	}
	for _, chain := range got.Chains() {
		if !chain[len(chain)-1].Equal(anchor) {
			t.Fatal("a chain does not end at the anchor")
		}
		for i, c := range chain[:len(chain)-1] {
			if err := c.CheckSignatureFrom(chain[i+1]); err != nil {
				t.Fatalf("certificate %d: %v", i, err)
			}
		}
	}
}
