package importer_test

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/csvfile"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

const (
	csvAlice = "sha256:9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b"
	csvBob   = "sha256:daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10"
)

// Each row is a table, and what becomes of its second line.
func TestCSVRows(t *testing.T) {
	t.Parallel()
	block, _ := pem.Decode(csvCertificate(t, "alice.pem"))
	body := base64.StdEncoding.EncodeToString(block.Bytes)
	ca := importer.Options{Issuers: []string{"client-ca.pem"}}
	two := importer.Options{Issuers: []string{"client-ca.pem", "partner-ca.pem"}}
	for name, row := range map[string]struct {
		table   string
		options importer.Options
		want    string // a part of users.yaml, or of an error
	}{
		"a file":               {"user,certificate\na,alice.pem", importer.Options{}, `{id: csv-2, user: a, fingerprint: "` + csvAlice + `"}`},
		"PEM":                  {"user,certificate\na,\"" + string(pem.EncodeToMemory(block)) + "\"", importer.Options{}, csvAlice},
		"PEM on one line":      {"user,certificate\na,-----BEGIN CERTIFICATE----- " + body + " -----END CERTIFICATE-----", importer.Options{}, csvAlice},
		"base64":               {"user,certificate\na," + body, importer.Options{}, csvAlice},
		"semicolons, BOM":      {"\uFEFFUser;Certificate\na;alice.pem", importer.Options{}, csvAlice},
		"tabs":                 {"certificate\tuser\r\nalice.pem\ta\r\n", importer.Options{}, csvAlice},
		"limits":               {"user,id,fingerprint,from,until,ports\na,x,\"" + csvAlice + "\",2026-01-01,2026-12-31,p|q", importer.Options{}, `{id: x, user: a, fingerprint: "` + csvAlice + `", ports: [p, q], not_before: 2026-01-01, not_after: 2026-12-31}`},
		"a SHA-1":              {"user,fingerprint\na,D8:E8:4D:B2:E4:37:4B:61:08:E4:05:F8:06:98:42:03:7A:D0:A2:C2", importer.Options{Certificates: []string{"."}}, csvAlice},
		"a SHA-1 without":      {"user,fingerprint\na,d8e84db2e4374b6108e405f8069842037ad0a2c2", importer.Options{}, "p.csv:2: a SHA-1 does not name"},
		"agreeing columns":     {"user,certificate,subject\na,alice.pem,\"CN=alice,OU=Staff,O=Acme\"", importer.Options{}, csvAlice},
		"other columns":        {"user,certificate,subject\na,alice.pem,\"CN=bob,OU=Staff,O=Acme\"", importer.Options{}, "has another subject"},
		"two columns":          {"user,uri,dns\na,x:y,a.example", ca, "several columns"},
		"a URI":                {"user,uri\na,spiffe://acme/x", ca, `uri: "spiffe://acme/x", issuer: client-ca.pem}`},
		"no issuer":            {"user,uri\na,spiffe://acme/x", importer.Options{}, "no issuer is known"},
		"one of two issuers":   {"user,uri\na,spiffe://acme/x", two, "which of the 2 authorities"},
		"an issuer by name":    {"user,email,issuer\na,a@acme.example,\"O=Partner,CN=x\"\nb,b@acme.example,\"CN=Partner CA,O=Partner\"", two, `issuer: partner-ca.pem}`},
		"an issuer's file":     {"user,serial,issuer\na,65CF5C4D7C286D86005257B916B7498B,client-ca.pem", importer.Options{}, `serial: 65CF5C4D7C286D86005257B916B7498B, issuer: client-ca.pem}`},
		"an issuer as a leaf":  {"user,serial,issuer\na,65CF,alice.pem", importer.Options{}, "neither the name of an authority"},
		"an authority":         {"user,certificate\na,client-ca.pem", importer.Options{}, "is an authority's"},
		"outside":              {"user,certificate\na,../alice.pem", importer.Options{}, "is not a file in the folder"},
		"a pattern":            {"user,subject\na,\"CN={user},O=Acme\"", ca, "a pattern is not read"},
		"no name":              {"user,certificate\nold partner,alice.pem", importer.Options{}, `"old partner" is not a user name`},
		"a reserved name":      {"user,certificate\ndefault,alice.pem", importer.Options{}, "reserved"},
		"renamed":              {"user,certificate\nCONTOSO\\alice,alice.pem", importer.Options{Rename: map[string]string{`CONTOSO\alice`: "alice"}}, "user: alice, fingerprint"},
		"renamed to no name":   {"user,certificate\na,alice.pem", importer.Options{Rename: map[string]string{"a": "b c"}}, `"b c" for "a" is not a user name`},
		"too many values":      {"user,certificate\na,alice.pem,x", importer.Options{}, "3 values for 2 columns"},
		"no certificate":       {"user,certificate\na,", importer.Options{}, "no column identifies the certificate"},
		"no user":              {"user,certificate\n,alice.pem", importer.Options{}, "the line has no user"},
		"no column user":       {"certificate\nalice.pem", importer.Options{}, "p.csv:1: no column is user"},
		"a column twice":       {"user,until,not_after\na,,", importer.Options{}, "two columns are not_after"},
		"a date":               {"user,certificate,until\na,alice.pem,31.12.2026", importer.Options{}, `not_after: "31.12.2026" is not a date`},
		"a quote":              {"user,certificate\na\"b,alice.pem", importer.Options{}, "p.csv:2:"},
		"UTF-16":               {"\xff\xfeu\x00", importer.Options{}, "UTF-16"},
		"nothing":              {"user,certificate\n", importer.Options{}, "nothing that can be carried"},
		"disabled":             {"user,certificate,disabled\nold partner,alice.pem,yes", importer.Options{}, `user: not-carried, fingerprint: "` + csvAlice + `", disabled: true}`},
		"a lost denial":        {"user,certificate,disabled\na,gone.pem,true\nb,bob.pem,", importer.Options{}, "p.csv:2: leaving this line out would let a caller in"},
		"a perhaps denial":     {"user,certificate,disabled\na,alice.pem,maybe\nb,bob.pem,", importer.Options{}, "neither true nor false"},
		"a lost denial narrow": {"user,certificate,disabled\na,gone.pem,true\nb,bob.pem,", importer.Options{Narrow: true}, "{id: csv-3, user: b"},
		"two users":            {"user,certificate\na,alice.pem\nb,alice.pem\nc,bob.pem", importer.Options{}, "mappings:\n  - {id: csv-4, user: c, fingerprint: \"" + csvBob + "\"}"},
		"two users, two ports": {"user,certificate,ports\na,alice.pem,p\nb,alice.pem,q", importer.Options{}, "{id: csv-3, user: b"},
		"an id twice":          {"user,certificate,id\na,alice.pem,x\nb,bob.pem,x", importer.Options{}, "{id: x-2, user: b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.options.Format = "csv"
			got := importertest.Run(t, row.options, map[string]string{"p.csv": row.table}, csvfile.Read, "p.csv")
			if !strings.Contains(got, row.want) {
				t.Errorf("got\n%s\nwant\n%s", got, row.want)
			}
		})
	}
}

// Two tables have ids of their own.
func TestIdsOfTwoCSVFiles(t *testing.T) {
	t.Parallel()
	got := importertest.Run(t, importer.Options{Format: "csv"}, map[string]string{"p.csv": "user,certificate\na,alice.pem", "q r.csv": "user,certificate\nb,bob.pem"}, csvfile.Read, "p.csv", "q r.csv")
	if !strings.Contains(got, "{id: csv-2, ") || !strings.Contains(got, "{id: csv-q_r-2, ") {
		t.Error(got)
	}
}

// A link in the folder of the table does not lead out of it.
func TestLinksOfACSVFileDoNotLeadOut(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	for name, data := range map[string][]byte{filepath.Join(outside, "alice.pem"): csvCertificate(t, "alice.pem"), filepath.Join(dir, "p.csv"): []byte("user,certificate\na,link/alice.pem\n")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	in, err := importer.New(importer.Options{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	if err := csvfile.Read(in, []string{filepath.Join(dir, "p.csv")}); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Finish(); err == nil || !strings.Contains(err.Error(), "is not a file in the folder") {
		t.Error(err)
	}
}

func FuzzCSVFile(f *testing.F) {
	f.Add("user,certificate\na,alice.pem\n")
	f.Add("user;subject;issuer;disabled\na;CN=a,O=b;client-ca.pem;true\nb;CN=a,O=b;client-ca.pem;\n")
	f.Add("user\tserial\tid\tports\tuntil\na\t1\tx\tp q\t2026-01-01\n")
	f.Add("user,uri,email,dns,spki,fingerprint\na,x:y,a@b,c.d,00,11\n")
	importertest.Fuzz(f, "p.csv", func(in *importer.Import, name string) error { return csvfile.Read(in, []string{name}) })
}

func csvCertificate(t *testing.T, name string) []byte {
	data, err := pki.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
