package main

import (
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// A list of another authority with the issuer's name does not prove that a serial number is
// revoked: the port accepts the certificate.
// Covers V9.
func TestListOfANamesakeProvesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	one, two := testpki.NewCA("Root 1"), testpki.NewCA("Root 2")
	issuer, namesake := one.SubCA("Issuing CA"), two.SubCA("Issuing CA")
	leaf, server := issuer.Leaf("leaf"), one.Server()
	for name, p := range map[string]*testpki.Pair{"one": one, "two": two, "issuer": issuer, "namesake": namesake, "server": server} {
		put(t, name+".pem", string(p.CertPEM()))
	}
	put(t, "leaf.pem", string(leaf.CertPEM())+string(issuer.CertPEM()))
	put(t, "server-key.pem", string(server.KeyPEM()))
	list := namesake.CRL(1, []*big.Int{leaf.Cert.SerialNumber})
	put(t, "namesake.crl", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw})))
	put(t, "users.yaml", "mappings: []\n")
	put(t, "policy.csv", "p, group:Authenticated, *, GET, /, allow\n")
	put(t, "mtlsguard.yaml", "ports:\n  - name: one\n    listen: 127.0.0.1:0\n    client_cert: require\n    certificate: {cert: server.pem, key: server-key.pem}\n"+
		"    trust: {anchors: [one.pem, two.pem], crl_issuers: [issuer.pem, namesake.pem], crls: [namesake.crl], revocation: soft}\nusers: users.yaml\npolicy: policy.csv\n")
	for args, want := range map[string]int{
		"--cert leaf.pem": exitNo,
		"--issuer issuer.pem --serial " + leaf.Cert.SerialNumber.Text(16):   exitNo,
		"--issuer namesake.pem --serial " + leaf.Cert.SerialNumber.Text(16): exitYes,
	} {
		code, out, errs := runLine(t, "revoked --config mtlsguard.yaml "+args)
		if code != want || strings.Contains(out, "another key than the issuer's") != strings.Contains(args, "--issuer issuer.pem") {
			t.Errorf("%s: status %d, want %d\n%s%s", args, code, want, out, errs)
		}
	}
}
