package pki_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// entry is an entry of pki.yaml. The tests parse the file themselves, so that an error in the
// generator's parser does not go unnoticed.
type entry struct {
	Name    string
	Issuer  string
	Anchors []string
	CRLs    []string
	Expect  string
}

func entries(t *testing.T) []entry {
	t.Helper()
	data, err := os.ReadFile("pki.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Certificates []entry }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Certificates) == 0 {
		t.Fatal("pki.yaml has no certificates")
	}
	return file.Certificates
}

// The result for every certificate is the one in pki.yaml, by the real clock.
func TestExpected(t *testing.T) {
	for _, e := range entries(t) {
		t.Run(e.Name, func(t *testing.T) {
			if e.Anchors == nil {
				e.Anchors = []string{"client-ca"}
			}
			presented, err := trust.ReadCertificates(e.Name, read(t, e.Name+".pem"))
			if e.Expect == "unparsable" {
				if err == nil {
					t.Fatal("crypto/x509 parses it")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := verify(t, presented, e.Anchors, e.CRLs); got != reason.Reason(e.Expect) {
				t.Errorf("refused as %q, want %q", got, e.Expect)
			}
		})
	}
}

// Every key belongs to its certificate.
func TestKeysBelongToTheirCertificates(t *testing.T) {
	for _, e := range entries(t) {
		if e.Expect == "unparsable" {
			continue
		}
		key := read(t, e.Name+"-key.pem")
		if _, err := tls.X509KeyPair(read(t, e.Name+".pem"), key); err != nil {
			t.Errorf("%s: %v", e.Name, err)
		}
		if block, rest := pem.Decode(key); block.Type != "PRIVATE KEY" || len(rest) > 0 {
			t.Errorf("%s: the file is not exactly one PKCS #8 key", e.Name)
		}
	}
}

// The results of the lists for a good certificate and for the revoked one.
func TestListsRevokeOneCertificate(t *testing.T) {
	for _, row := range []struct {
		name string
		crls []string
		want reason.Reason
	}{
		{"alice", []string{"client-ca.crl"}, ""},
		{"alice", []string{"client-ca.crl.der"}, ""},
		{"revoked", []string{"client-ca.crl.der"}, reason.Revoked},
		{"revoked", nil, ""},
		{"alice", []string{"client-ca-stale.crl"}, reason.RevocationUnknown},
		{"revoked", []string{"client-ca-stale.crl"}, reason.Revoked},
		{"carol", []string{"client-ca.crl"}, reason.RevocationUnknown},
		{"carol", []string{"client-ca.crl", "client-sub-ca.crl"}, ""},
	} {
		if got := verify(t, certificates(t, row.name), []string{"client-ca"}, row.crls); got != row.want {
			t.Errorf("%s with %q: refused as %q, want %q", row.name, row.crls, got, row.want)
		}
	}
	if got := verify(t, certificates(t, "partner"), []string{"client-ca"}, nil); got != reason.UnknownAuthority {
		t.Errorf("partner under client-ca: refused as %q, want %q", got, reason.UnknownAuthority)
	}
	if got := verify(t, certificates(t, "partner"), []string{"client-ca", "partner-ca"}, []string{"client-ca.crl", "partner-ca.crl"}); got != "" {
		t.Errorf("partner under both: refused as %q, want none", got)
	}
}

// The forged list has the name of client-ca and is signed by rogue-ca.
func TestForged(t *testing.T) {
	real, rogue, list := certificates(t, "client-ca")[0], certificates(t, "rogue-ca")[0], lists(t, "client-ca-forged.crl")[0]
	if !bytes.Equal(list.RawIssuer, real.RawSubject) || !bytes.Equal(list.AuthorityKeyId, real.SubjectKeyId) {
		t.Error("the forged list does not look like one of client-ca")
	}
	if err := list.CheckSignatureFrom(rogue); err != nil {
		t.Errorf("the forged list is not signed by rogue-ca: %v", err)
	}
	if _, err := trust.New(trust.Config{Anchors: []*x509.Certificate{real}, CRLs: []*x509.RevocationList{list}}); err == nil {
		t.Error("the forged list is accepted")
	}
}

// The server certificate serves the names of the examples.
func TestServerCertificateHasTheNamesOfTheExamples(t *testing.T) {
	roots := x509.NewCertPool()
	roots.AddCert(certificates(t, "server-ca")[0])
	for _, name := range []string{"127.0.0.1", "::1", "localhost", "api.acme.example"} {
		if _, err := certificates(t, "server")[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// verify returns the reason of the refusal, or "".
func verify(t *testing.T, presented []*x509.Certificate, anchors, crls []string) reason.Reason {
	t.Helper()
	var c trust.Config
	for _, name := range anchors {
		c.Anchors = append(c.Anchors, certificates(t, name)...)
	}
	for _, name := range crls {
		c.CRLs = append(c.CRLs, lists(t, name)...)
	}
	v, err := trust.New(c)
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(context.Background(), presented)
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*reason.Refusal](err)
	if !ok {
		t.Fatalf("not a refusal: %v", err)
	}
	t.Log(refusal)
	return refusal.Reason
}

func certificates(t *testing.T, name string) []*x509.Certificate {
	t.Helper()
	out, err := trust.ReadCertificates(name, read(t, name+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func lists(t *testing.T, file string) []*x509.RevocationList {
	t.Helper()
	read, err := trustaccess.ReadCRLs(file, read(t, file))
	if err != nil {
		t.Fatal(err)
	}
	var out []*x509.RevocationList
	for _, l := range read {
		out = append(out, l.List)
	}
	return out
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := pki.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
