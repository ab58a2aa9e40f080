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
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

var (
	generatedCases = flag.Int("generated", 600, "how many generated certificates are compared with OpenSSL")
	mutatedLists   = flag.Int("mutatedlists", 400, "how many changed CRLs are compared with OpenSSL")
	generatedSeed  = flag.Uint64("generatedseed", 1, "what they are generated from")
)

// differences are what OpenSSL says of certificates that we trust, with why we do. Each
// holds only where the case shows the reason; anything else fails the test.
var differences = []struct {
	says *regexp.Regexp
	why  string
	is   func(w *generated, leaf *x509.Certificate) bool
}{
	{
		notRevoked,
		"two authorities of one name, and no key identifiers that tell them apart: OpenSSL tries one of them, and we the one whose key fits",
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
		"two certificates for one authority's key: OpenSSL tries the way by one of them, and we each",
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
		"an authority that its predecessor's key issued to itself, without an authorityKeyIdentifier: OpenSSL takes it for self-signed by its name",
		func(w *generated, _ *x509.Certificate) bool {
			return slices.ContainsFunc(w.intermediates, func(c *x509.Certificate) bool {
				return string(c.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(c) != nil
			})
		},
	},
	{
		regexp.MustCompile(`^error 26 at depth 0: `),
		"a key usage without digitalSignature, which the compatible profile takes",
		func(_ *generated, leaf *x509.Certificate) bool {
			return leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0
		},
	},
	{
		notRevoked,
		"the certificate's authorityKeyIdentifier is not its issuer's; RFC 5280 section 4.2.1.1 has it for finding issuers, and the signature decides",
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
		"the list is of another key of the issuer's name that is an anchor too (V3); OpenSSL takes an indirect one with -extended_crl alone",
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
		"an authority for any usage; RFC 5280 section 4.2.1.12 counts clientAuth among them, and OpenSSL wants it named",
		func(w *generated, _ *x509.Certificate) bool {
			return w.anyIssuer(func(p *x509.Certificate) bool { return slices.Contains(p.ExtKeyUsage, x509.ExtKeyUsageAny) })
		},
	},
	{
		regexp.MustCompile(`^error 4[78] at depth 0: `),
		"a common name that looks like a DNS name, without an alternative one: OpenSSL applies constraints on DNS names to it, and no mapping takes it for one",
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

// notRevoked is every error but 23: what OpenSSL takes for revoked we do too.
var notRevoked = regexp.MustCompile(`^error (\d|1\d|2[^3]|[3-9]\d) at depth \d+: `)

// ofAnchor is what OpenSSL says where it looks the anchor itself up in a list, which we
// never do: an anchor is revoked by taking it out.
var ofAnchor = regexp.MustCompile(`^error (?:3|8|44) at depth (\d+): `)

// explain finds the difference for each error that OpenSSL says; false where one has none.
func explain(w *generated, raw []byte, said string, chains [][]*x509.Certificate) (why string, ok bool) {
	depths := map[string]bool{} // of the anchors of our chains
	for _, chain := range chains {
		depths[fmt.Sprint(len(chain)-1)] = true
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil || said == "" {
		return "", false
	}
	for one := range strings.SplitSeq(said, "; ") {
		found := false
		if m := ofAnchor.FindStringSubmatch(one); m != nil && depths[m[1]] {
			why, found = "OpenSSL looks the anchor itself up in a list; an anchor is revoked by taking it out", true
		}
		for _, d := range differences {
			if !found && d.says.MatchString(one) && d.is(w, leaf) {
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

// anyList asks about each list and each authority of its issuer's name.
func (w *generated) anyList(is func(*x509.RevocationList, *x509.Certificate) bool) bool {
	for _, raw := range w.lists {
		l, err := x509.ParseRevocationList(raw)
		if err == nil && w.anyIssuer(func(p *x509.Certificate) bool { return dn.Equal(p.RawSubject, l.RawIssuer) && is(l, p) }) {
			return true
		}
	}
	return false
}

// What we trust, OpenSSL trusts too.
//
// Covers V1, V2, V3, B22, B23.
func TestGeneratedCertificatesAreTrustedByOpenSSLToo(t *testing.T) {
	t.Parallel()
	needOpenSSL(t)
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
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%7d  %s", counts[what], what)
	}
	if counts["both trust it"] < cases/10 {
		t.Errorf("both trust only %d of %d: this shows little", counts["both trust it"], cases)
	}
}

// compare asks both about every leaf of a world.
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
	answers := askOpenSSL(t, w, now)
	for i, raw := range w.leaves {
		ours := errors.New("the configuration is refused")
		var chains [][]*x509.Certificate
		if refused == nil {
			chains, ours = verifyRaw(v, raw, w.intermediates)
		}
		said := answers[i]
		if ours == nil && said == "" {
			// Of a file with one certificate that it cannot read OpenSSL reads none. Those of
			// our chains it has to read.
			alone := generated{anchors: w.anchors, lists: w.lists, leaves: [][]byte{raw}, partial: w.partial}
			for _, chain := range chains {
				alone.intermediates = append(alone.intermediates, chain[1:max(1, len(chain)-1)]...)
			}
			said = askOpenSSL(t, &alone, now)[0]
		}
		switch {
		case ours == nil && said == "OK":
			counts["both trust it"]++
		case ours != nil && said != "OK":
			counts["neither trusts it"]++
		case ours != nil:
			word, _, _ := strings.Cut(ours.Error(), ":")
			counts["only OpenSSL trusts it: "+word]++
		default:
			if why, ok := explain(w, raw, said, chains); ok {
				counts["only we trust it: "+why]++
				continue
			}
			if counts["only we trust it: "+said]++; counts["only we trust it: "+said] == 1 { // each kind once
				t.Errorf("only we trust it; OpenSSL says %q (partial %t, profile %d)\nkept in %s", said, w.partial, c.Profile, keep(t, w, raw))
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

// keep writes a case to where it stays, for looking into it.
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

// askOpenSSL verifies all leaves of a world in one process: for each OK, or the errors in
// the order in which they came, or nothing where the file could not be read.
func askOpenSSL(t *testing.T, w *generated, now time.Time) []string {
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
	var said []string
	for line := range strings.Lines(stderr.String()) {
		line = strings.TrimSuffix(line, "\n")
		if m := opensslError.FindStringSubmatch(line); m != nil {
			said = append(said, fmt.Sprintf("error %s at depth %s: %s", m[1], m[2], m[3]))
		} else if m := opensslEnd.FindStringSubmatch(line); m != nil {
			var i int
			_, _ = fmt.Sscan(m[1], &i)
			out[i], said = strings.Join(said, "; "), nil
		}
	}
	return out
}
