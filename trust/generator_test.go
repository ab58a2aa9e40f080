package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// keyPool holds the keys of generated certificates: making keys takes longer than
// signing.
var keyPool = sync.OnceValue(func() []crypto.Signer {
	var out []crypto.Signer
	for range 12 {
		out = append(out, testpki.NewKey())
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), crand.Reader)
	if err != nil {
		panic(err)
	}
	_, ed, err := ed25519.GenerateKey(crand.Reader)
	if err != nil {
		panic(err)
	}
	weak, err := rsa.GenerateKey(crand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return append(out, p384, ed, weak)
})

// generated is one set of authorities and lists, and the leaves to verify with it.
type generated struct {
	anchors, intermediates []*x509.Certificate
	lists                  [][]byte // CRLs in DER
	leaves                 [][]byte // in DER; some are malformed
	partial                bool     // an anchor is not a root
}

// generator makes valid chains and lists, changes them field by field and byte by byte,
// and mixes their parts. The same seed makes the same shape, with other keys and dates.
type generator struct {
	t   testing.TB
	r   *rand.Rand
	now time.Time
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, of ...T) T { return of[g.r.IntN(len(of))] }

func (g *generator) p256() crypto.Signer { return keyPool()[g.r.IntN(12)] }

// world makes authorities, their lists, and n leaves.
func (g *generator) world(n int) *generated {
	var w generated
	var issuers []*testpki.Pair
	for i := range 1 + g.r.IntN(2) {
		root := g.authority(nil, fmt.Sprint("Root ", g.r.IntN(1+i))) // two of one name: a key rollover
		if root == nil {
			continue
		}
		w.anchors = append(w.anchors, root.Cert)
		issuers = append(issuers, root)
	}
	for range g.r.IntN(4) {
		if len(issuers) == 0 {
			break
		}
		sub := g.authority(pick(g, issuers...), pick(g, "Sub 0", "Sub 1", "Sub 2", "Root 0"))
		if sub == nil {
			continue
		}
		w.intermediates = append(w.intermediates, sub.Cert)
		issuers = append(issuers, sub)
	}
	if len(w.intermediates) > 0 && g.chance(12) {
		w.partial = true
		w.anchors = certs{pick(g, w.intermediates...)}
	}
	if len(issuers) == 0 {
		return &w
	}
	var serials []*big.Int
	for _, c := range w.intermediates {
		serials = append(serials, c.SerialNumber)
	}
	for range n {
		leaf := g.leaf(pick(g, issuers...))
		if leaf == nil {
			continue
		}
		w.leaves = append(w.leaves, leaf)
		if c, err := x509.ParseCertificate(leaf); err == nil && c.SerialNumber.Sign() > 0 && c.SerialNumber.BitLen() < 160 {
			serials = append(serials, c.SerialNumber)
		}
	}
	for _, p := range issuers {
		for range pick(g, 1, 1, 1, 1, 1, 1, 2, 0) {
			if list := g.list(p, issuers, serials); list != nil {
				w.lists = append(w.lists, list)
			}
		}
	}
	return &w
}

// try calls make, and returns false if crypto/x509 rejects the template.
func try[T any](make func() T) (out T, ok bool) {
	defer func() { ok = recover() == nil }()
	return make(), true
}

func (g *generator) authority(issuer *testpki.Pair, name string) *testpki.Pair {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1 + g.r.Int64N(1<<60)),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		NotBefore: g.now.Add(-time.Duration(1+g.r.IntN(1000)) * time.Hour), NotAfter: g.now.Add(1000 * time.Hour),
	}
	if g.chance(35) {
		g.changeAuthority(template)
	}
	p, ok := try(func() *testpki.Pair { return testpki.Make(issuer, g.p256(), template) })
	if !ok {
		return nil
	}
	if issuer != nil && g.chance(6) { // byte by byte
		if c, err := x509.ParseCertificate(g.mutated(p.Cert.RawTBSCertificate, issuer.Key)); err == nil {
			p.Cert = c
		}
	}
	return p
}

func (g *generator) changeAuthority(c *x509.Certificate) {
	switch g.r.IntN(19) {
	case 0:
		c.KeyUsage = 0
	case 1:
		c.KeyUsage = x509.KeyUsageCertSign
	case 2:
		c.KeyUsage = x509.KeyUsageCRLSign
	case 3:
		c.MaxPathLen, c.MaxPathLenZero = 0, true
	case 4:
		c.MaxPathLen = 1
	case 5:
		c.IsCA = false
		c.KeyUsage = x509.KeyUsageDigitalSignature
	case 6:
		c.NotAfter = g.now.Add(-time.Minute)
	case 7:
		c.NotBefore = g.now.Add(time.Minute)
	case 8:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case 9:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	case 10:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case 11:
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{pick(g, "acme.example", ".acme.example", "a.acme.example")}, true
	case 12:
		c.PermittedURIDomains, c.PermittedDNSDomainsCritical = []string{pick(g, "acme.example", ".acme.example")}, g.chance(50)
	case 13:
		c.PermittedEmailAddresses = []string{pick(g, "acme.example", ".acme.example", "a@acme.example")}
	case 14:
		c.ExcludedDNSDomains = []string{pick(g, "acme.example", ".acme.example")}
		c.ExcludedURIDomains, c.ExcludedEmailAddresses = c.ExcludedDNSDomains, c.ExcludedDNSDomains
	case 15:
		with(g.chance(50), []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)(c)
	case 16:
		c.KeyUsage = 0
		with(true, []byte{3, 1, 0}, 2, 5, 29, 15)(c)
	case 17:
		c.Subject = pkix.Name{}
	case 18:
		with(g.chance(70), policyList(g.t, pick(g, nil, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 4})), 2, 5, 29, 32)(c)
	}
}

func (g *generator) leaf(issuer *testpki.Pair) []byte {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "alice"}, SerialNumber: big.NewInt(1 + g.r.Int64N(1<<62)),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: g.now.Add(-time.Hour), NotAfter: g.now.Add(time.Hour),
	}
	key := g.p256()
	if g.chance(15) {
		key = pick(g, keyPool()...)
	}
	if g.chance(30) {
		g.nameLeaf(template)
	}
	if g.chance(25) {
		g.changeLeaf(template)
	}
	p, ok := try(func() *testpki.Pair { return testpki.Make(issuer, key, template) })
	if !ok {
		return nil
	}
	switch roll := g.r.IntN(100); {
	case roll < 22: // one byte changed before signing
		return g.mutated(p.Cert.RawTBSCertificate, issuer.Key)
	case roll < 25: // one byte changed after signing
		all := readNodes(p.Cert.Raw)[0]
		all.mutate(g.r)
		return all.bytes()
	case roll < 28: // by another key
		return wrapped(g.t, p.Cert.RawTBSCertificate, g.p256())
	}
	return p.Cert.Raw
}

func (g *generator) nameLeaf(c *x509.Certificate) {
	c.DNSNames = pick(g, nil, []string{"acme.example"}, []string{"a.acme.example"}, []string{"other.example"}, []string{"*.acme.example"})
	c.EmailAddresses = pick(g, nil, []string{"a@acme.example"}, []string{"a@b.acme.example"}, []string{"A@ACME.example"}, []string{"a@other.example"})
	if text := pick(g, "", "spiffe://acme.example/a", "spiffe://b.acme.example/a", "urn:x:y", "https://192.0.2.1/", "https://u@acme.example/", "https://acme.example:1/"); text != "" {
		u, err := url.Parse(text)
		if err != nil {
			g.t.Fatal(err)
		}
		c.URIs = []*url.URL{u}
	}
	if g.chance(20) {
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: oidEmail, Value: pick(g, "a@acme.example", "a@b.acme.example", "x")}}
	}
	if g.chance(20) {
		c.Subject.CommonName = pick(g, "acme.example", "other.example", "")
	}
}

func (g *generator) changeLeaf(c *x509.Certificate) {
	switch g.r.IntN(14) {
	case 0:
		c.ExtKeyUsage = nil
	case 1:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	case 2:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case 3:
		c.ExtKeyUsage = append(c.ExtKeyUsage, pick(g, x509.ExtKeyUsageAny, x509.ExtKeyUsageServerAuth))
	case 4:
		c.KeyUsage = pick(g, 0, x509.KeyUsageKeyEncipherment, x509.KeyUsageKeyAgreement, x509.KeyUsageCertSign)
	case 5:
		c.NotAfter = g.now.Add(-time.Second)
	case 6:
		c.NotBefore = g.now.Add(time.Second)
	case 7:
		c.IsCA, c.BasicConstraintsValid = g.chance(50), true
	case 8:
		with(g.chance(50), []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)(c)
	case 9:
		c.CRLDistributionPoints = []string{pick(g, "http://crl.example/a", "http://crl.example/b")}
	case 10: // a point with another issuer of its list
		with(false, []byte{0x30, 6, 0x30, 4, 0xa2, 2, 0x82, 0}, 2, 5, 29, 31)(c)
	case 11:
		c.Subject = pkix.Name{}
	case 12:
		with(g.chance(50), []byte{0x30, 8, 0xa0, 6, 0x30, 4, 0x82, 2, 'a', 'b'}, 2, 5, 29, 30)(c)
	case 13:
		c.SerialNumber = pick(g, big.NewInt(0), new(big.Int).Lsh(big.NewInt(1), 158), new(big.Int).Lsh(big.NewInt(1), 200))
	}
}

// list makes a CRL of p, or one in its name by another key.
func (g *generator) list(p *testpki.Pair, issuers []*testpki.Pair, serials []*big.Int) []byte {
	template := &x509.RevocationList{
		Number: big.NewInt(1 + g.r.Int64N(100)), ThisUpdate: g.now.Add(-time.Hour), NextUpdate: g.now.Add(time.Hour),
	}
	for _, s := range serials {
		if g.chance(4) {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: s, RevocationTime: g.now.Add(-time.Minute), ReasonCode: pick(g, 0, 0, 1, 6),
			})
		}
	}
	signer := p.Cert
	if p.Cert.KeyUsage&x509.KeyUsageCRLSign == 0 {
		signer = withCRLSign(p)
	}
	key := p.Key
	if g.chance(12) {
		switch g.r.IntN(8) {
		case 0:
			template.NextUpdate = g.now.Add(-time.Second)
		case 1:
			template.ThisUpdate = g.now.Add(time.Minute)
		case 2:
			idp{Users: true}.change(g.t)(template)
		case 3:
			idp{CAs: true}.change(g.t)(template)
		case 4:
			idp{Point: at(g.t, "http://crl.example/a")}.change(g.t)(template)
		case 5:
			extension(true, []byte{2, 1, 1}, 2, 5, 29, 27)(template)
		case 6:
			extension(g.chance(50), []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)(template)
		case 7:
			key = pick(g, issuers...).Key
		}
	}
	raw, ok := try(func() []byte {
		raw, err := x509.CreateRevocationList(crand.Reader, template, signer, p.Key)
		if err != nil {
			panic(err)
		}
		return raw
	})
	if !ok {
		return nil
	}
	list, err := x509.ParseRevocationList(raw)
	if err != nil {
		return nil
	}
	inside := readNodes(list.RawTBSRevocationList)[0]
	if g.chance(12) { // the name in another form
		inside.inner[tbsIssuer] = readNodes(g.recoded(list.RawIssuer))[0]
	}
	if g.chance(12) {
		inside.mutate(g.r)
	}
	return wrapped(g.t, inside.bytes(), key)
}

// recoded returns a name in another string type, letter case or spacing.
func (g *generator) recoded(name []byte) []byte {
	all := readNodes(name)[0]
	for _, n := range all.all() {
		if n.tag == der.PrintableString || n.tag == der.UTF8String {
			n.tag = pick(g, der.UTF8String, der.PrintableString)
			n.content = pick(g, n.content, []byte(" "+string(n.content)), slices.Concat([]byte{n.content[0] ^ 0x20}, n.content[1:]))
		}
	}
	return all.bytes()
}

// mutated makes one random change in a TBS structure, and signs it.
func (g *generator) mutated(inside []byte, key crypto.Signer) []byte {
	all := readNodes(inside)[0]
	all.mutate(g.r)
	return wrapped(g.t, all.bytes(), key)
}

// wrapped signs a TBS structure with ECDSA and SHA-256. The outer algorithm is the inner one.
func wrapped(t testing.TB, inside []byte, key crypto.Signer) []byte {
	t.Helper()
	algorithm := element(der.SEQUENCE)
	if nodes := readNodes(inside); len(nodes) == 1 {
		for _, n := range nodes[0].inner {
			if n.tag == der.SEQUENCE && len(n.inner) > 0 && n.inner[0].tag == der.OBJECT_IDENTIFIER {
				algorithm = n
				break
			}
		}
	}
	signature := signatureOf(t, &testpki.Pair{Key: key}, inside)
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(inside)
		b.AddBytes(algorithm.bytes())
		b.AddASN1BitString(signature)
	})
	return b.BytesOrPanic()
}
