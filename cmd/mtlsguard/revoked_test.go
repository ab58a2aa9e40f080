package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

func revoked(t *testing.T, args string) (int, revokedReport) {
	t.Helper()
	code, out, errs := runLine(t, "revoked --json --config mtlsguard.yaml "+args)
	if code == exitInvalid {
		t.Fatalf("revoked %s: %s", args, errs)
	}
	var r revokedReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	return code, r
}

func (r *revokedReport) on(port string) portRevocation {
	return r.Ports[slices.IndexFunc(r.Ports, func(p portRevocation) bool { return p.Port == port })]
}

// revoked reports that a port refuses a certificate exactly if a running server refuses it there.
// With the pasted hints, ports without lookups refuse it too.
func TestRevocationIsProvedForEachPort(t *testing.T) {
	site := serveLogged(t, "trust: {anchors: [client-ca.pem]}=>trust: {anchors: [client-ca.pem], crls: [client-ca.crl]}")
	compare := func(want map[string]string) revokedReport {
		t.Helper()
		_, r := revoked(t, "--cert revoked.pem")
		for port, result := range want {
			before := len(site.text())
			site.request(port, "revoked", "GET", "/whoami")
			refused := strings.Contains(site.text()[before:], `"outcome":"refuse","reason":"revoked"`)
			if p := r.on(port); p.Result != result || refused != (result == isRevoked) {
				t.Errorf("port %s is %s, want %s; the server refuses as revoked: %t\n%s", port, p.Result, result, refused, site.text()[before:])
			}
		}
		return r
	}
	r := compare(map[string]string{"internal": isRevoked, "partner": isNotRevoked, "public": isNotRevoked})
	if r.Revoked || r.on("partner").LooksUp || r.on("partner").Mode != "off" {
		t.Errorf("got %+v, want partner without revocation", r)
	}
	proof := r.on("internal").Lists
	if len(proof) != 1 || !proof[0].Listed || proof[0].File != "client-ca.crl" || proof[0].Number == "" || proof[0].ThisUpdate != "2024-01-01T00:00:00Z" ||
		proof[0].NextUpdate != "2124-01-01T00:00:00Z" || proof[0].Signer != "CN=Client CA,O=Acme" || proof[0].Since != "2024-01-01T00:00:00Z" {
		t.Errorf("the proof is %+v", proof)
	}
	code, out, _ := runLine(t, "revoked --config mtlsguard.yaml --cert revoked.pem")
	for _, want := range []string{
		"NOT revoked on 2 of 3 ports that trust its issuer: CN=revoked,", "port internal, mtlsguard.yaml:5\n  revoked: the port refuses it\n  client-ca.crl lists it since 2024-01-01T00:00:00Z\n",
		"port partner, mtlsguard.yaml:10\n  NOT revoked: the port looks nothing up (revocation: off)\n",
	} {
		if code != exitNo || !strings.Contains(out, want) {
			t.Errorf("status %d\n%s\nwant %q", code, out, want)
		}
	}
	for _, h := range r.Hints {
		if strings.Contains(h.Text, "port partner") != strings.Contains(h.Text, "other anchors too, or their certificates are refused as revocation-unknown: CN=Partner CA,O=Partner") {
			t.Errorf("only the partner's port has another anchor: %+v", h)
		}
		if strings.Contains(h.Text, "looks up no CRL") {
			paste(t, h)
		}
	}
	if text := read(t, "mtlsguard.yaml"); strings.Count(text, "crls: [client-ca.crl]") != 3 || !strings.Contains(text, "partner-ca.pem") {
		t.Fatal(text)
	}
	site.reload()
	r = compare(map[string]string{"internal": isRevoked, "partner": isRevoked, "public": isRevoked})
	if code, out, errs := runLine(t, "revoked --config mtlsguard.yaml --cert revoked.pem"); code != exitYes || !r.Revoked || !strings.HasPrefix(out, "revoked on every port that trusts its issuer: ") || errs != "" {
		t.Errorf("status %d\n%s%s", code, out, errs)
	}
	// By serial number, without the certificate.
	code, bySerial := revoked(t, "--serial 0x41:AF:40:E6:F8:A0:BF:21:B0:56:2C:D3:8E:F8:5D:B8 --issuer client-ca.pem")
	if code != exitYes || bySerial.on("partner").Result != isRevoked {
		t.Errorf("status %d %+v", code, bySerial)
	}
	if code, r := revoked(t, "--serial 1000 --issuer client-ca.pem"); code != exitNo || r.on("internal").Result != isNotRevoked || !r.on("internal").LooksUp {
		t.Errorf("status %d %+v", code, r)
	}
	if code, r := revoked(t, "--serial 1000 --issuer gateway-ca.pem"); code != exitNo || r.on("internal").Result != isRefused {
		t.Errorf("status %d %+v", code, r)
	}
	// Only one port trusts the partner's CA, and has no CRL of it.
	if code, r := revoked(t, "--cert partner.pem"); code != exitNo || r.on("internal").Reason != "unknown-authority" || r.on("partner").Reason != "revocation-unknown" {
		t.Errorf("status %d %+v", code, r)
	}
}

// For a certificate that no list has, the hints name what refuses it at once, and the
// pasted hint refuses that certificate and no other user.
func TestHintOfRevokedRefusesTheCertificateAtOnce(t *testing.T) {
	for _, row := range []struct{ cert, find, reason, other string }{
		{"orders", "disable its mapping", "unmapped", "alice"},
		{"alice", "deny its user everything", "denied", "orders"},
	} {
		t.Run(row.cert, func(t *testing.T) {
			serveLogged(t)
			_, r := revoked(t, "--cert "+row.cert+".pem")
			at := slices.IndexFunc(r.Hints, func(h hint) bool { return strings.Contains(h.Text, row.find) })
			if at < 0 {
				t.Fatalf("no hint has %q: %+v", row.find, r.Hints)
			}
			paste(t, r.Hints[at])
			for cert, want := range map[string]string{row.cert: row.reason, row.other: ""} {
				if x := explainRequest(t, strings.Fields("--port internal GET /orders/7 --cert "+cert+".pem")); string(x.Reason) != want {
					t.Errorf("%s: the reason is %q, want %q", cert, x.Reason, want)
				}
			}
		})
	}
}

// Each row is one state of revocation of a port.
func TestRevokedReportsEveryStateOfAPort(t *testing.T) {
	ca := testpki.NewCA("Root")
	sub := ca.SubCA("Sub")
	leaf, other, below, old := ca.Leaf("leaf"), ca.Leaf("other"), sub.Leaf("below"), ca.Leaf("old", func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour)
	})
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		question, err := ocsp.ParseRequest(body)
		if err != nil {
			t.Error(err)
			return
		}
		answer := ocsp.Response{Status: ocsp.Good, SerialNumber: question.SerialNumber, IssuerHash: question.HashAlgorithm, ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
		if question.SerialNumber.Cmp(leaf.Cert.SerialNumber) == 0 {
			answer.Status, answer.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
		}
		der, err := ocsp.CreateResponse(ca.Cert, ca.Cert, answer, ca.Key)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/ocsp-response")
		_, _ = w.Write(der)
	}))
	defer answers.Close()
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	reasoned := func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 1 }
	ended := func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }
	write := func(name string, lists ...*x509.RevocationList) {
		text := ""
		for _, l := range lists {
			text += string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.Raw}))
		}
		put(t, name, text)
	}
	t.Chdir(t.TempDir())
	server := ca.Server()
	put(t, "server.pem", string(server.CertPEM()))
	put(t, "server-key.pem", string(server.KeyPEM()))
	put(t, "ca.pem", string(ca.CertPEM()))
	for name, p := range map[string]*testpki.Pair{"leaf": leaf, "other": other, "below": below, "old": old} {
		put(t, name+".pem", string(p.CertPEM()))
	}
	serials := func(all ...*testpki.Pair) (out []*big.Int) {
		for _, p := range all {
			out = append(out, p.Cert.SerialNumber)
		}
		return out
	}
	put(t, "users.yaml", "mappings: []\n")
	put(t, "policy.csv", "p, group:Authenticated, *, GET, /, allow\n")
	write("some.crl", ca.CRL(7, serials(leaf, old), reasoned))
	write("none.crl", ca.CRL(8, nil))
	write("ended.crl", ca.CRL(9, serials(leaf), ended))
	write("sub.crl", ca.CRL(10, serials(sub)), sub.CRL(1, nil))
	for _, row := range []struct {
		name, trust, cert string
		code              int
		want              []string
	}{
		{"listed", "crls: [some.crl]", "leaf", exitYes, []string{"some.crl lists it since 20", ", keyCompromise\n    number 7, ", "signed by CN=Root"}},
		{"not listed", "crls: [none.crl]", "leaf", exitNo, []string{"NOT revoked: the port accepts it (revocation: hard)\n  none.crl does not list it\n    number 8", "hint: no list that the ports look up has the certificate"}},
		{"listed in an ended list", "crls: [ended.crl]", "leaf", exitYes, []string{"ended.crl lists it since", "the list is past its next update"}},
		{"not listed in an ended list", "crls: [ended.crl]", "other", exitNo, []string{"no port trusts it", "revocation-unknown", "ended.crl does not list it; the list is past its next update"}},
		{"an intermediate", "crls: [sub.crl]", "below", exitYes, []string{"revoked: the port refuses it", "sub.crl lists the intermediate CN=Sub"}},
		{"expired and listed", "crls: [some.crl]", "old", exitYes, []string{"revoked, and refused before as expired"}},
		{"not looked up", "crls: [some.crl], revocation: off", "leaf", exitNo, []string{"NOT revoked: the port looks nothing up (revocation: off)", "mtlsguard.yaml:6: trust: {anchors: [ca.pem], crls: [some.crl], revocation: hard}"}},
		{"soft without anything", "revocation: soft", "leaf", exitNo, []string{"NOT revoked"}},
		{"OCSP", "ocsp: {url: \"" + answers.URL + "\"}", "leaf", exitYes, []string{"revoked: the port refuses it", "OCSP " + answers.URL + ": revoked"}},
		{"OCSP, good", "ocsp: {url: \"" + answers.URL + "\"}", "other", exitNo, []string{"NOT revoked: the port accepts it (revocation: hard)", "OCSP " + answers.URL + ": good until"}},
		{"OCSP, down, soft", "ocsp: {url: \"" + down.URL + "\"}, revocation: soft", "leaf", exitNo, []string{"NOT revoked: the port accepts it (revocation: soft)", "OCSP " + down.URL + ": unknown, "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			put(t, "mtlsguard.yaml", "ports:\n  - name: one\n    listen: 127.0.0.1:0\n    client_cert: require\n    certificate: {cert: server.pem, key: server-key.pem}\n    trust: {anchors: [ca.pem], "+row.trust+"}\n  - name: two\n    listen: 127.0.0.1:0\n    client_cert: none\n    certificate: {cert: server.pem, key: server-key.pem}\nusers: users.yaml\npolicy: policy.csv\n")
			code, out, errs := runLine(t, "revoked --config mtlsguard.yaml --cert "+row.cert+".pem")
			if code != row.code {
				t.Errorf("status %d, want %d %s", code, row.code, errs)
			}
			for _, want := range append(row.want, "port two, mtlsguard.yaml:7\n  requests no certificate\n") {
				if !strings.Contains(out, want) {
					t.Errorf("%s\nwant %q", out, want)
				}
			}
		})
	}
	for _, row := range []struct{ args, err string }{
		{"--serial x --issuer ca.pem", "is not a serial number"}, {"--serial 10", "--serial needs --issuer"}, {"--serial 10 --issuer leaf.pem", "leaf.pem: this is not a CA certificate"},
		{"--cert nothing.pem", "nothing.pem"}, {"--cert leaf.pem --issuer ca.pem", "--issuer is for --serial"}, {"", "--cert"},
	} {
		if code, out, errs := runLine(t, "revoked --config mtlsguard.yaml "+row.args); code != exitInvalid || out != "" || !strings.Contains(errs, row.err) || !strings.Contains(errs, "hint: ") {
			t.Errorf("%s: status %d\n%s%s", row.args, code, out, errs)
		}
	}
}
