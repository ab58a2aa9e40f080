package trust_test

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers A8.
func TestAnchorFilesAreReadStrictly(t *testing.T) {
	ca, second := testpki.NewCA("Client CA"), testpki.NewCA("Second CA")
	good, other := string(ca.CertPEM()), string(second.CertPEM())
	lines := strings.SplitAfter(good, "\n")
	cut := strings.Join(lines[:len(lines)/2], "")
	noEnd := strings.Join(lines[:len(lines)-2], "")
	noBegin := strings.Join(lines[1:], "")
	bitten := strings.Replace(good, lines[2], lines[2][:10]+"!"+lines[2][11:], 1)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	const unended = "has no end"
	for _, row := range []struct {
		name, data string
		want       int    // number of certificates; -1 is an error
		line       int    // of the first error
		what       string // in its text
	}{
		{"one", good, 1, 0, ""},
		{"two", good + other, 2, 0, ""},
		{"no newline at the end", strings.TrimSpace(good), 1, 0, ""},
		{"white space around", " \n\t\r\n" + good + "\n\n" + other + " \n", 2, 0, ""},
		{"CRLF", strings.ReplaceAll(good+other, "\n", "\r\n"), 2, 0, ""},

		{"good, then cut off", good + cut, -1, 1 + len(lines) - 1, unended},
		{"cut off, then good", cut + good, -1, 1, unended},
		{"without its end line, then good", noEnd + good, -1, 1, unended},
		{"begun twice", lines[0] + good, -1, 1, unended},
		{"begin and end share their dashes", "-----BEGIN CERTIFICATE-----END CERTIFICATE-----", -1, 1, unended},
		{"without its begin line", noBegin, -1, 1, "not a PEM block"},
		{"good, then without its begin line", good + noBegin, -1, len(lines), "not a PEM block"},
		{"a line is damaged", bitten, -1, 1, "damaged"},
		{"good, then damaged", good + bitten, -1, len(lines), "damaged"},
		{"text before", "subject=CN = Client CA\n" + good, -1, 1, "not a PEM block"},
		{"text between", good + "# the next one\n" + other, -1, len(lines), "not a PEM block"},
		{"text after", good + "x", -1, len(lines), "not a PEM block"},
		{"text on the end line", strings.TrimSpace(good) + "x\n", -1, len(lines) - 1, "not a PEM block"},
		{"NUL after", good + "\x00", -1, len(lines), "not a PEM block"},
		{"byte order mark", "\ufeff" + good, -1, 1, "byte order mark"},
		{"a key", good + string(ca.KeyPEM()), -1, len(lines), "PRIVATE KEY"},
		{"a key first", string(ca.KeyPEM()) + good, -1, 1, "PRIVATE KEY"},
		{"trusted certificate", block("TRUSTED CERTIFICATE", ca.Cert.Raw), -1, 1, "TRUSTED CERTIFICATE"},
		{"request", block("CERTIFICATE REQUEST", ca.Cert.Raw), -1, 1, "CERTIFICATE REQUEST"},
		{"headers", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"A": "b"}, Bytes: ca.Cert.Raw})), -1, 1, "headers"},
		{"a byte after the DER", block("CERTIFICATE", append(bytes.Clone(ca.Cert.Raw), 0)), -1, 1, "cannot be read"},
		{"the DER cut off", block("CERTIFICATE", ca.Cert.Raw[:100]), -1, 1, "cannot be read"},
		{"no DER", block("CERTIFICATE", nil), -1, 1, ""},
		{"DER", string(ca.Cert.Raw), -1, 1, "a certificate in DER"},
		{"empty", "", -1, 1, "empty"},
		{"white space", "\n \n", -1, 1, "empty"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := trust.ReadCertificates("ca.pem", []byte(row.data))
			if row.want >= 0 {
				if err != nil || len(got) != row.want {
					t.Fatalf("%d certificates, %v; want %d", len(got), err, row.want)
				}
				return
			}
			wrong := configerror.All(err)
			if len(wrong) == 0 || len(got) != 0 {
				t.Fatalf("%d certificates, %v; want an error and none", len(got), err)
			}
			if wrong[0].File != "ca.pem" || wrong[0].Line != row.line || !strings.Contains(wrong[0].What, row.what) {
				t.Errorf("%v; want line %d and %q", wrong[0], row.line, row.what)
			}
		})
	}
}

func TestReadCertificatesReportsEveryBlock(t *testing.T) {
	garbage := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no")})
	_, err := trust.ReadCertificates("ca.pem", bytes.Repeat(garbage, 3))
	if wrong := configerror.All(err); len(wrong) != 3 || wrong[2].Line != 7 {
		t.Errorf("got %v, want three errors, the last in line 7", err)
	}
}

// A long file takes a time that grows with its length, not with its square.
// Covers B12.
func TestLongAnchorFileIsReadInLinearTime(t *testing.T) {
	start := time.Now()
	begin := []byte("-----BEGIN CERTIFICATE-----\n")
	for _, data := range [][]byte{
		bytes.Repeat(begin, 100_000),
		append(bytes.Clone(begin), bytes.Repeat([]byte("AAAA\n"), 1_000_000)...),
		bytes.Repeat([]byte("\n"), 5_000_000),
		bytes.Repeat([]byte("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"), 10_000),
	} {
		if _, err := trust.ReadCertificates("ca.pem", data); err == nil {
			t.Error("accepted")
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestParseDigest(t *testing.T) {
	want := trust.FingerprintOf(testpki.NewCA("x").Cert)
	hex := want.String()
	var colons []string
	for i := 0; i < len(hex); i += 2 {
		colons = append(colons, hex[i:i+2])
	}
	withColons := strings.Join(colons, ":")
	for _, text := range []string{hex, strings.ToUpper(hex), "sha256:" + hex, "SHA256:" + strings.ToUpper(withColons), withColons} {
		if got, err := trust.ParseDigest(text); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "sha256:", hex[:62], hex + "00", "sha1:" + hex, hex + " ", " " + hex, hex[:63] + "g", "sha256:sha256:" + hex,
		":" + hex, hex + ":", hex[:2] + ":" + hex[2:], withColons + ":", strings.Replace(withColons, ":", "::", 1), strings.ReplaceAll(withColons, ":", "-"),
	} {
		if got, err := trust.ParseDigest(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
