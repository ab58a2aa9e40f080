package trust_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The certification path tests of NIST PKITS ship with Go, without their CRLs. The
// lists below are the exceptions for a verifier of client certificates, by section. Every
// other test must have the result of NIST.

// withoutCRLs are the tests whose fault is in a CRL that Go does not ship. The
// certificates alone are in order. trust/revocation_test.go has the same faults with CRLs
// made in the test.
var withoutCRLs = []string{"4.4.", "4.5.2 ", "4.5.5 ", "4.5.7 ", "4.7.4 ", "4.7.5 ", "4.14.", "4.15."}

// policies are the sections about certificate policies, which do not identify a client:
// a path is verified with the initial policy set "any".
var policies = []string{"4.8.", "4.9.", "4.10.", "4.11.", "4.12."}

// stricter lists the tests that pass for NIST and that are refused here, with the reason.
var stricter = map[string]string{
	"4.1.4 ":   "DSA is not accepted",
	"4.1.5 ":   "DSA is not accepted",
	"4.3.3 ":   "names are compared byte for byte",
	"4.3.4 ":   "names are compared byte for byte",
	"4.3.5 ":   "names are compared byte for byte",
	"4.3.10 ":  "names are compared byte for byte",
	"4.3.11 ":  "names are compared byte for byte",
	"4.6.8 ":   "an authority is not a leaf",
	"4.6.14 ":  "an authority is not a leaf",
	"4.6.15 ":  "self-issued authorities count for the path length",
	"4.6.17 ":  "self-issued authorities count for the path length",
	"4.8.6 ":   "an authority is not a leaf",
	"4.13.1 ":  "constraints on directory names are not supported, and critical",
	"4.13.4 ":  "constraints on directory names are not supported, and critical",
	"4.13.5 ":  "constraints on directory names are not supported, and critical",
	"4.13.6 ":  "constraints on directory names are not supported, and critical",
	"4.13.11 ": "constraints on directory names are not supported, and critical",
	"4.13.14 ": "constraints on directory names are not supported, and critical",
	"4.13.18 ": "constraints on directory names are not supported, and critical",
	"4.13.19 ": "constraints on directory names are not supported, and critical",
	"4.13.25 ": "a constraint on addresses of hosts is read more narrowly",
	"4.13.27 ": "constraints on directory names are not supported, and critical",
	"4.13.36 ": "a constraint on URIs is read more narrowly",
	"4.14.4 ":  "a distribution point relative to its issuer is not read",
	"4.14.5 ":  "a distribution point relative to its issuer is not read",
	"4.14.13 ": "an authority is not a leaf",
	"4.14.29 ": "a distribution point relative to its issuer is not read",
}

type pkitsVector struct {
	Name           string
	CertPath       []string
	ShouldValidate bool
}

func TestPKITS(t *testing.T) {
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src", "crypto", "x509", "testdata", "nist-pkits")
	data, err := os.ReadFile(filepath.Join(dir, "vectors.json"))
	if err != nil {
		t.Fatalf("the Go distribution comes without the sources of its tests: %v", err)
	}
	var vectors []pkitsVector
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) < 200 {
		t.Fatalf("%d vectors: %v", len(vectors), err)
	}
	used := map[string]bool{}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			err := verifyPKITS(t, dir, v)
			if err != nil {
				if _, ok := errors.AsType[*reason.Refusal](err); !ok {
					t.Errorf("the error is not a refusal: %v", err)
				}
			}
			want, why := v.ShouldValidate, "NIST"
			section, _, _ := strings.Cut(v.Name, " ")
			section += " "
			switch {
			case stricter[section] != "":
				want, why, used[section] = false, stricter[section], true
			case slices.ContainsFunc(policies, func(p string) bool { return strings.HasPrefix(section, p) }):
				if err != nil && v.ShouldValidate {
					t.Errorf("refused: %v", err)
				}
				return // a path that only a policy forbids may have either result
			case slices.ContainsFunc(withoutCRLs, func(p string) bool { return strings.HasPrefix(section, p) }):
				if v.ShouldValidate && err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if (err == nil) != want {
				t.Errorf("accepted is %v, want %v (%s); error: %v", err == nil, want, why, err)
			}
		})
	}
	for section := range stricter {
		if !used[section] {
			t.Errorf("the exception %q matches no test", section)
		}
	}
}

// verifyPKITS verifies one path, its first certificate the anchor, under the profile that
// accepts certificates without an extended key usage: those of NIST have none.
func verifyPKITS(t *testing.T, dir string, v pkitsVector) error {
	t.Helper()
	var presented []*x509.Certificate
	for _, name := range slices.Backward(v.CertPath) {
		der, err := os.ReadFile(filepath.Join(dir, "certs", name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return reason.Refuse(reason.BadCertificate, err.Error()) // as the handshake would
		}
		presented = append(presented, c)
	}
	last := len(presented) - 1
	verifier, err := trust.New(trust.Config{
		Anchors: presented[last:], Profile: trust.Compatible,
		Now: func() time.Time { return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = verifier.Verify(context.Background(), presented[:last])
	return err
}
