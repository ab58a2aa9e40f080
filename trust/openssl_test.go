package trust_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

var (
	generatedCases = flag.Int("generated", 600, "number of generated certificates to compare with OpenSSL")
	mutatedLists   = flag.Int("mutatedlists", 400, "number of changed CRLs to compare with OpenSSL")
	generatedSeed  = flag.Uint64("generatedseed", 1, "seed of the generated certificates")
)

// differences lists the errors of OpenSSL for certificates that we trust, each with its
// reason. A difference applies only if is returns true for the case; any other error fails
// the test.
var differences = []struct {
	message *regexp.Regexp // the error of OpenSSL
	why     string
	is      func(w *generated, leaf *x509.Certificate) bool
}{
	{
		notRevoked,
		"two authorities of one name, and no key identifiers that tell them apart: OpenSSL tries one of them, and we try the one whose key fits",
		func(w *generated, leaf *x509.Certificate) bool {
			return slices.ContainsFunc(append(certs{leaf}, w.intermediates...), func(c *x509.Certificate) bool {
				keys, nameless := map[string]bool{}, len(c.AuthorityKeyId) == 0
				w.anyIssuer(func(p *x509.Certificate) bool {
					if string(p.RawSubject) == string(c.RawIssuer) {
						keys[string(p.RawSubjectPublicKeyInfo)] = true
						nameless = nameless || len(p.SubjectKeyId) == 0
					}
					return false
				})
				return len(keys) > 1 && nameless
			})
		},
	},
	{
		notRevoked,
		"two certificates for one authority's key: OpenSSL tries one of them, and we try both",
		func(w *generated, leaf *x509.Certificate) bool {
			return w.anyIssuer(func(p *x509.Certificate) bool {
				return w.anyIssuer(func(q *x509.Certificate) bool {
					return string(p.RawSubject) == string(q.RawSubject) && !p.Equal(q) && bytes.Equal(p.RawSubjectPublicKeyInfo, q.RawSubjectPublicKeyInfo)
				})
			})
		},
	},
	{
		regexp.MustCompile(`^error 19 at depth \d+: `),
		"an authority that its predecessor's key issued to itself, without an authorityKeyIdentifier: OpenSSL considers it self-signed because of its name",
		func(w *generated, _ *x509.Certificate) bool {
			return slices.ContainsFunc(w.intermediates, func(c *x509.Certificate) bool {
				return string(c.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(c) != nil
			})
		},
	},
	{
		regexp.MustCompile(`^error 26 at depth 0: `),
		"a key usage without digitalSignature, which the compatible profile accepts",
		func(_ *generated, leaf *x509.Certificate) bool {
			return leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0
		},
	},
	{
		notRevoked,
		"the certificate's authorityKeyIdentifier is not its issuer's; RFC 5280 section 4.2.1.1 uses it to find issuers, and the signature decides",
		func(w *generated, leaf *x509.Certificate) bool {
			return slices.ContainsFunc(append(certs{leaf}, w.intermediates...), func(c *x509.Certificate) bool {
				return w.anyIssuer(func(p *x509.Certificate) bool {
					return string(p.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(p) == nil && !bytes.Equal(p.SubjectKeyId, c.AuthorityKeyId)
				})
			})
		},
	},
	{
		regexp.MustCompile(`^error [38] at depth \d+: `),
		"the list's authorityKeyIdentifier is not its issuer's; the signature decides",
		func(w *generated, _ *x509.Certificate) bool {
			return w.anyList(func(l *x509.RevocationList, p *x509.Certificate) bool {
				return l.CheckSignatureFrom(p) == nil && !bytes.Equal(p.SubjectKeyId, l.AuthorityKeyId)
			})
		},
	},
	{
		regexp.MustCompile(`^error [38] at depth \d+: `),
		"the list is of another key of the issuer's name that is an anchor too (V3); OpenSSL accepts it as an indirect CRL only, with -extended_crl",
		func(w *generated, _ *x509.Certificate) bool {
			return w.anyList(func(l *x509.RevocationList, p *x509.Certificate) bool {
				return l.CheckSignatureFrom(p) != nil && slices.ContainsFunc(w.anchors, func(a *x509.Certificate) bool {
					return dn.Equal(a.RawSubject, p.RawSubject) && l.CheckSignatureFrom(a) == nil
				})
			})
		},
	},
	{
		regexp.MustCompile(`^error 26 at depth [1-9]: `),
		"an authority for any usage; RFC 5280 section 4.2.1.12 counts clientAuth among them, and OpenSSL requires clientAuth itself",
		func(w *generated, _ *x509.Certificate) bool {
			return w.anyIssuer(func(p *x509.Certificate) bool { return slices.Contains(p.ExtKeyUsage, x509.ExtKeyUsageAny) })
		},
	},
	{
		regexp.MustCompile(`^error 4[78] at depth 0: `),
		"a common name that looks like a DNS name, without an alternative one: OpenSSL applies constraints on DNS names to it, and no mapping reads it as one",
		func(w *generated, leaf *x509.Certificate) bool {
			return len(leaf.DNSNames) == 0 && strings.Contains(leaf.Subject.CommonName, ".") && w.anyIssuer(func(p *x509.Certificate) bool {
				return len(p.PermittedDNSDomains)+len(p.ExcludedDNSDomains) > 0
			})
		},
	},
	{
		regexp.MustCompile(`^error 53 at depth 0: `),
		"an email address in the subject that is no IA5String; we compare its text with the constraints",
		func(_ *generated, leaf *x509.Certificate) bool {
			odd := false
			dn.Each(leaf.RawSubject, func(_ int, id asn1.ObjectIdentifier, tag der.Tag, _ []byte) bool {
				odd = odd || id.Equal(oidEmail) && tag != der.IA5String
				return true
			})
			return odd
		},
	},
}

// notRevoked matches every error but 23, revoked: a certificate that OpenSSL finds revoked
// must be revoked for us too.
var notRevoked = regexp.MustCompile(`^error (\d|1\d|2[^3]|[3-9]\d) at depth \d+: `)

// ofAnchor matches the errors of OpenSSL when it looks up the anchor itself in a list. We
// never do that: an operator revokes an anchor by removing it.
var ofAnchor = regexp.MustCompile(`^error (?:3|8|44) at depth (\d+): `)

// explain finds the difference that explains each error of OpenSSL; false if an error has
// none.
func explain(w *generated, raw []byte, opensslErrors string, chains [][]*x509.Certificate) (why string, ok bool) {
	depths := map[string]bool{} // of the anchors of our chains
	for _, chain := range chains {
		depths[fmt.Sprint(len(chain)-1)] = true
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil || opensslErrors == "" {
		return "", false
	}
	for one := range strings.SplitSeq(opensslErrors, "; ") {
		found := false
		if m := ofAnchor.FindStringSubmatch(one); m != nil && depths[m[1]] {
			why, found = "OpenSSL looks the anchor itself up in a list; an operator revokes an anchor by removing it", true
		}
		for _, d := range differences {
			if !found && d.message.MatchString(one) && d.is(w, leaf) {
				why, found = d.why, true
			}
		}
		if !found {
			return "", false
		}
	}
	return why, true
}

func (w *generated) anyIssuer(is func(*x509.Certificate) bool) bool {
	return slices.ContainsFunc(slices.Concat(w.anchors, w.intermediates), is)
}

// anyList reports whether is returns true for a list and an authority of its issuer's name.
func (w *generated) anyList(is func(*x509.RevocationList, *x509.Certificate) bool) bool {
	for _, raw := range w.lists {
		l, err := x509.ParseRevocationList(raw)
		if err == nil && w.anyIssuer(func(p *x509.Certificate) bool { return dn.Equal(p.RawSubject, l.RawIssuer) && is(l, p) }) {
			return true
		}
	}
	return false
}

// OpenSSL trusts every certificate that we trust, but for the listed differences.
//
// Covers V1, V2, V3, B22, B23.
func TestGeneratedCertificatesAreTrustedByOpenSSLToo(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	const each = 50
	r := rand.New(rand.NewPCG(*generatedSeed, 1))
	counts := map[string]int{}
	cases := 0
	for cases < *generatedCases {
		now := time.Now().Truncate(time.Second)
		w := (&generator{t: t, r: r, now: now}).world(each)
		if len(w.leaves) == 0 {
			continue
		}
		cases += len(w.leaves)
		compare(t, w, now, r, counts)
	}
	for _, outcome := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d  %s", counts[outcome], outcome)
	}
	if counts["both trust it"] < cases/10 {
		t.Errorf("both trust only %d of %d: this test checks little", counts["both trust it"], cases)
	}
}

// compare verifies every leaf of w with OpenSSL and with a Verifier, and counts the outcomes.
func compare(t *testing.T, w *generated, now time.Time, r *rand.Rand, counts map[string]int) {
	t.Helper()
	c := trust.Config{
		Anchors: w.anchors, Revocation: trust.RevocationHard, Now: func() time.Time { return now },
		Profile: []trust.Profile{trust.Strict, trust.Compatible}[r.IntN(2)],
	}
	var refused error
	for _, raw := range w.lists {
		read, err := trustaccess.ReadCRLs("x.crl", raw)
		if err != nil {
			refused = err
			continue
		}
		c.CRLs = append(c.CRLs, read[0].List)
	}
	var v *trust.Verifier
	if refused == nil {
		v, refused = trust.New(c)
	}
	answers := verifyWithOpenSSL(t, w, now)
	for i, raw := range w.leaves {
		ourErr := errors.New("the configuration is refused")
		var chains [][]*x509.Certificate
		if refused == nil {
			chains, ourErr = verifyRaw(v, raw, w.intermediates)
		}
		theirs := answers[i]
		if ourErr == nil && theirs == "" {
			// OpenSSL reads no certificate of a file that holds a malformed one. The certificates of
			// our chains must be readable for it.
			alone := generated{anchors: w.anchors, lists: w.lists, leaves: [][]byte{raw}, partial: w.partial}
			for _, chain := range chains {
				alone.intermediates = append(alone.intermediates, chain[1:max(1, len(chain)-1)]...)
			}
			theirs = verifyWithOpenSSL(t, &alone, now)[0]
		}
		switch {
		case ourErr == nil && theirs == "OK":
			counts["both trust it"]++
		case ourErr != nil && theirs != "OK":
			counts["neither trusts it"]++
		case ourErr != nil:
			ourReason, _, _ := strings.Cut(ourErr.Error(), ":")
			counts["only OpenSSL trusts it: "+ourReason]++
		default:
			if why, ok := explain(w, raw, theirs, chains); ok {
				counts["only we trust it: "+why]++
				continue
			}
			if counts["only we trust it: "+theirs]++; counts["only we trust it: "+theirs] == 1 { // each kind once
				t.Errorf("only we trust it; the errors of OpenSSL are %q (partial %t, profile %d)\nfiles in %s", theirs, w.partial, c.Profile, keep(t, w, raw))
			}
		}
	}
}

// verifyRaw returns the chains that we trust.
func verifyRaw(v *trust.Verifier, raw []byte, intermediates certs) ([][]*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("not parsed: %w", err)
	}
	verified, err := v.Verify(context.Background(), append(certs{leaf}, intermediates...))
	return verified.Chains(), err
}

// keep writes a case to a folder that outlives the test, for analysis, and returns the folder.
func keep(t *testing.T, w *generated, leaf []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "openssl-differs-")
	if err != nil {
		t.Fatal(err)
	}
	w.write(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "differs.der"), leaf, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (w *generated) write(t *testing.T, dir string) {
	t.Helper()
	put := func(name, kind string, ders ...[]byte) {
		var out bytes.Buffer
		for _, raw := range ders {
			if err := pem.Encode(&out, &pem.Block{Type: kind, Bytes: raw}); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw := func(all certs) (out [][]byte) {
		for _, c := range all {
			out = append(out, c.Raw)
		}
		return out
	}
	put("anchors.pem", "CERTIFICATE", raw(w.anchors)...)
	put("intermediates.pem", "CERTIFICATE", raw(w.intermediates)...)
	put("lists.pem", "X509 CRL", w.lists...)
	for i, leaf := range w.leaves {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.der", i)), leaf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var (
	opensslError = regexp.MustCompile(`^error (\d+) at (\d+) depth lookup: (.*)$`)
	opensslEnd   = regexp.MustCompile(`^error (\d+)\.der: verification failed$`)
)

// verifyWithOpenSSL verifies all leaves of w in one process. It returns for each leaf "OK",
// the errors in their order, or "" if the file could not be read.
func verifyWithOpenSSL(t *testing.T, w *generated, now time.Time) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "openssl-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	w.write(t, dir)
	args := []string{"verify", "-purpose", "sslclient", "-crl_check_all", "-attime", fmt.Sprint(now.Unix()), "-no-CAstore", "-no-CApath", "-CAfile", "anchors.pem"}
	if len(w.intermediates) > 0 {
		args = append(args, "-untrusted", "intermediates.pem")
	}
	if len(w.lists) > 0 {
		args = append(args, "-CRLfile", "lists.pem")
	}
	if w.partial {
		args = append(args, "-partial_chain")
	}
	for i := range w.leaves {
		args = append(args, fmt.Sprintf("%d.der", i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "openssl", args...)
	command.Dir = dir
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Exited() {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
	}
	out := make([]string, len(w.leaves))
	for line := range strings.Lines(stdout.String()) {
		var i int
		if n, _ := fmt.Sscanf(line, "%d.der: OK", &i); n == 1 && strings.HasSuffix(line, ": OK\n") {
			out[i] = "OK"
		}
	}
	var leafErrors []string
	for line := range strings.Lines(stderr.String()) {
		line = strings.TrimSuffix(line, "\n")
		if m := opensslError.FindStringSubmatch(line); m != nil {
			leafErrors = append(leafErrors, fmt.Sprintf("error %s at depth %s: %s", m[1], m[2], m[3]))
		} else if m := opensslEnd.FindStringSubmatch(line); m != nil {
			var i int
			_, _ = fmt.Sscan(m[1], &i)
			out[i], leafErrors = strings.Join(leafErrors, "; "), nil
		}
	}
	return out
}
