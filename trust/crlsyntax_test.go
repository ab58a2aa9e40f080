package trust_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Positions in a TBSCertList that testpki makes.
const (
	tbsVersion = iota
	tbsAlgorithm
	tbsIssuer
	tbsThis
	tbsNext
	tbsRevoked
	tbsExtensions
)

// remadeList returns list with its TBSCertList changed, and signed again by ca.
func remadeList(t testing.TB, ca *testpki.Pair, list *x509.RevocationList, change func(inside *node)) []byte {
	t.Helper()
	inside := readNodes(list.RawTBSRevocationList)[0]
	change(inside)
	return signList(t, ca, inside)
}

// signList signs a TBSCertList with ECDSA and SHA-256. The outer algorithm is the inner
// one.
func signList(t testing.TB, ca *testpki.Pair, inside *node) []byte {
	t.Helper()
	return wrapped(t, inside.bytes(), ca.Key)
}

// richList returns a list that revokes serials and has every optional field.
func richList(t testing.TB, ca *testpki.Pair, serials ...*big.Int) *x509.RevocationList {
	t.Helper()
	return ca.CRL(7, serials, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 1 },
		extension(false, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1), idp{Users: true}.change(t))
}

// A list with a misplaced element is rejected, although its CA signed it: its entries would
// be lost.
//
// Covers V1.
func TestCRLWithAnElementOutOfPlaceIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	bad, other := ca.Leaf("bad"), ca.Leaf("other")
	list := richList(t, ca, bad.Cert.SerialNumber, other.Cert.SerialNumber)
	insert := func(at int, n *node) func(*node) {
		return func(inside *node) { inside.inner = slices.Insert(inside.inner, at, n) }
	}
	set := func(at int, n *node) func(*node) { return func(inside *node) { inside.inner[at] = n } }
	move := func(from, to int) func(*node) {
		return func(inside *node) {
			n := inside.inner[from]
			inside.inner = slices.Insert(slices.Delete(inside.inner, from, from+1), to, n)
		}
	}
	entry := func(change func(entry *node)) func(*node) {
		return func(inside *node) { change(inside.inner[tbsRevoked].inner[0]) }
	}
	extensions := func(change func(all *node)) func(*node) {
		return func(inside *node) { change(inside.inner[tbsExtensions].inner[0]) }
	}
	utc := func(text string) *node { return element(der.UTCTime, []byte(text)...) }
	general := func(text string) *node { return element(der.GeneralizedTime, []byte(text)...) }
	integer := element(der.INTEGER, 1)
	for name, change := range map[string]func(*node){
		"revokedCertificates after the extensions": move(tbsRevoked, tbsExtensions),
		"an INTEGER after thisUpdate":              insert(tbsNext, integer),
		"an INTEGER after nextUpdate":              insert(tbsRevoked, integer),
		"an empty list before the real one":        insert(tbsRevoked, element(der.SEQUENCE)),
		"an empty list alone":                      set(tbsRevoked, element(der.SEQUENCE)),
		"a second list": func(inside *node) {
			inside.inner = slices.Insert(inside.inner, tbsExtensions, inside.inner[tbsRevoked].clone())
		},
		"an element after the extensions": insert(tbsExtensions+1, integer),
		"extensions twice": func(inside *node) {
			inside.inner = append(inside.inner, inside.inner[tbsExtensions].clone())
		},
		"extensions before the list":       move(tbsExtensions, tbsRevoked),
		"NULL for no list":                 insert(tbsRevoked, element(der.NULL)),
		"a third date":                     insert(tbsRevoked, utc("300102030405Z")),
		"no list, and an INTEGER":          set(tbsRevoked, integer),
		"the list in [1]":                  func(inside *node) { inside.inner[tbsRevoked].tag = der.Tag(1).Constructed().ContextSpecific() },
		"the list as a SET":                func(inside *node) { inside.inner[tbsRevoked].tag = der.SET },
		"no version":                       func(inside *node) { inside.inner = inside.inner[1:] },
		"version 1, written":               set(tbsVersion, element(der.INTEGER, 0)),
		"version 3":                        set(tbsVersion, element(der.INTEGER, 2)),
		"an empty issuer":                  set(tbsIssuer, element(der.SEQUENCE)),
		"an issuer with a stray":           func(inside *node) { inside.inner[tbsIssuer].inner = append(inside.inner[tbsIssuer].inner, integer) },
		"thisUpdate with an offset":        set(tbsThis, utc("250102030405+0000")),
		"thisUpdate without seconds":       set(tbsThis, utc("2501020304Z")),
		"thisUpdate in the 13th month":     set(tbsThis, utc("251302030405Z")),
		"thisUpdate as GeneralizedTime":    set(tbsThis, general("20250102030405Z")),
		"nextUpdate with a fraction":       set(tbsNext, general("20600102030405.5Z")),
		"nextUpdate without Z":             set(tbsNext, general("20600102030405")),
		"an entry without a date":          entry(func(e *node) { e.inner = e.inner[:1] }),
		"an entry with a stray":            entry(func(e *node) { e.inner = append(e.inner, integer) }),
		"an entry with two serials":        entry(func(e *node) { e.inner = slices.Insert(e.inner, 1, element(der.INTEGER, 5)) }),
		"an entry with empty extensions":   entry(func(e *node) { e.inner[2] = element(der.SEQUENCE) }),
		"an entry with an extension twice": entry(func(e *node) { e.inner[2].inner = append(e.inner[2].inner, e.inner[2].inner[0].clone()) }),
		"an entry with [0] extensions":     entry(func(e *node) { e.inner[2].tag = der.Tag(0).Constructed().ContextSpecific() }),
		"a serial with a zero in front":    entry(func(e *node) { e.inner[0].content = append([]byte{0, 0}, e.inner[0].content...) }),
		"a serial without bytes":           entry(func(e *node) { e.inner[0].content = nil }),
		"a date with an offset":            entry(func(e *node) { e.inner[1] = utc("250102030405+0000") }),
		"a reason of two values": entry(func(e *node) {
			e.inner[2].inner[0].inner[1].content, e.inner[2].inner[0].inner[1].inner = []byte{10, 1, 1, 10, 1, 8}, nil
		}),
		"an undefined reason": entry(func(e *node) {
			e.inner[2].inner[0].inner[1].content, e.inner[2].inner[0].inner[1].inner = []byte{10, 1, 7}, nil
		}),
		"an entry that is a SET":       entry(func(e *node) { e.tag = der.SET }),
		"an entry that is empty":       entry(func(e *node) { e.inner, e.content = nil, nil }),
		"empty extensions":             extensions(func(all *node) { all.inner, all.content = nil, nil }),
		"an extension twice":           extensions(func(all *node) { all.inner = append(all.inner, all.inner[0].clone()) }),
		"an extension with a stray":    extensions(func(all *node) { all.inner[0].inner = append(all.inner[0].inner, integer) }),
		"an extension without a value": extensions(func(all *node) { all.inner[0].inner = all.inner[0].inner[:1] }),
		"two Extensions in one [0]":    func(inside *node) { e := inside.inner[tbsExtensions]; e.inner = append(e.inner, e.inner[0].clone()) },
		"a number of two values":       extensions(func(all *node) { number(all).content, number(all).inner = []byte{2, 1, 1, 2, 1, 2}, nil }),
		"a negative number":            extensions(func(all *node) { number(all).content, number(all).inner = []byte{2, 1, 0xff}, nil }),
		"an algorithm with two parameters": func(inside *node) {
			a := inside.inner[tbsAlgorithm]
			a.inner = append(a.inner, element(der.NULL), element(der.NULL))
		},
	} {
		raw := remadeList(t, ca, list, change)
		for form, data := range map[string][]byte{"DER": raw, "PEM": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: raw})} {
			if _, err := trustaccess.ReadCRLs("x.crl", data); err == nil {
				t.Errorf("%s, as %s: it is accepted", name, form)
			}
		}
		if parsed, err := x509.ParseRevocationList(raw); err == nil { // as a caller of New might
			if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(parsed)}); err == nil {
				t.Errorf("%s: New accepts it", name)
			}
		}
	}
	// Signed again without a change, the list is accepted: the cases above fail by their change.
	raw := remadeList(t, ca, list, func(*node) {})
	read, err := trustaccess.ReadCRLs("x.crl", raw)
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(read[0].List)})
	expect(t, v, bad.Presented(), reason.Revoked)
	expect(t, v, other.Presented(), reason.Revoked)
}

// number returns the value of the CRL number extension.
func number(extensions *node) *node {
	for _, e := range extensions.inner {
		if bytes.Equal(e.inner[0].content, []byte{0x55, 29, 20}) {
			return e.inner[len(e.inner)-1]
		}
	}
	panic("no number")
}

// The bytes around the list are checked to their end too.
//
// Covers V1.
func TestCRLWithSomethingAroundItIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	list := richList(t, ca, big.NewInt(1))
	outer := func(change func(all *node)) []byte {
		all := readNodes(list.Raw)[0]
		change(all)
		return all.bytes()
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: list.Raw}))
	for name, data := range map[string][]byte{
		"an element after the signature": outer(func(all *node) { all.inner = append(all.inner, element(der.NULL)) }),
		"another outer algorithm":        outer(func(all *node) { all.inner[1].inner = append(all.inner[1].inner, element(der.NULL)) }),
		"bytes after it":                 append(slices.Clone(list.Raw), 0),
		"text before the PEM":            []byte("the list\n" + text),
		"text after the PEM":             []byte(text + "x"),
		"a header in the PEM":            []byte(strings.Replace(text, "CRL-----\n", "CRL-----\nProc-Type: 4\n\n", 1)),
		"bytes after the list in PEM":    pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: append(slices.Clone(list.Raw), 0)}),
		"a certificate's label":          []byte(strings.ReplaceAll(text, "X509 CRL", "CERTIFICATE")),
	} {
		if _, err := trustaccess.ReadCRLs("x.crl", data); err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
}

// The scope of a list and the distribution points of a certificate are checked to the last
// byte too: a stray element must not hide an indirect CRL.
//
// Covers V1.
func TestScopeWithAnElementOutOfPlaceIsRefused(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	for name, value := range map[string][]byte{
		"indirect after attributes":      {0x30, 6, 0x85, 1, 0, 0x84, 1, 0xff},
		"indirect after a stray":         {0x30, 6, 0x02, 1, 1, 0x84, 1, 0xff},
		"users twice":                    {0x30, 6, 0x81, 1, 0, 0x81, 1, 0xff},
		"a BOOLEAN of two bytes":         {0x30, 4, 0x81, 2, 0xff, 0},
		"a trailing NULL":                {0x30, 3, 0x81, 1, 0xff, 0x05, 0x00},
		"a BOOLEAN that is neither":      {0x30, 3, 0x81, 1, 0x01},
		"a reserved element":             {0x30, 3, 0x86, 1, 0xff},
		"a point with two names for one": {0x30, 8, 0xa0, 6, 0xa0, 2, 0x86, 0, 0xa1, 0},
	} {
		if err := trustaccess.CheckCRL(ca.CRL(1, nil, extension(true, value, 2, 5, 29, 28)), certs{ca.Cert}, time.Now()); err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
}

// FuzzCRLSyntax mutates good lists and signs them again: no entry of an accepted list is
// lost.
//
// Covers V1.
func FuzzCRLSyntax(f *testing.F) {
	ca := testpki.NewCA("Client CA")
	bad := ca.Leaf("bad")
	list := richList(f, ca, bad.Cert.SerialNumber, big.NewInt(77))
	f.Add(uint64(1), uint64(2), uint8(1))
	f.Fuzz(func(t *testing.T, a, b uint64, n uint8) {
		r := rand.New(rand.NewPCG(a, b))
		inside := readNodes(list.RawTBSRevocationList)[0]
		for range n%4 + 1 {
			inside.mutate(r)
		}
		raw := signList(t, ca, inside)
		read, err := trustaccess.ReadCRLs("x.crl", raw)
		if err != nil {
			return
		}
		// A third parser: in an accepted list, every element with the form of an entry is one.
		want := 0
		for _, n := range readNodes(raw)[0].inner[0].inner {
			if n.tag == der.SEQUENCE && len(n.inner) > 0 && len(n.inner[0].inner) > 1 && n.inner[0].inner[0].tag == der.INTEGER {
				want += len(n.inner)
			}
		}
		if got := len(read[0].List.RevokedCertificateEntries); got != want {
			t.Errorf("%d entries are read of %d in %x", got, want, raw)
		}
	})
}

// An accepted list loses no entry that OpenSSL reads in the same list.
//
// Covers V1.
func TestMutatedCRLsLoseNoEntryThatOpenSSLReads(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	mutations := *mutatedLists
	ca := testpki.NewCA("Client CA")
	var serials []*big.Int
	for i := range 4 {
		serials = append(serials, big.NewInt(int64(0x1122334455667701+i)))
	}
	shapes := []*x509.RevocationList{
		richList(t, ca, serials...), ca.CRL(1, serials), ca.CRL(1, serials[:1]), ca.CRL(1, nil),
	}
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	read := map[string][]string{}
	for i := range mutations {
		inside := readNodes(shapes[i%len(shapes)].RawTBSRevocationList)[0]
		for range 1 + r.IntN(3) {
			inside.mutate(r)
		}
		raw := signList(t, ca, inside)
		list, err := trustaccess.ReadCRLs("x.crl", raw)
		if err != nil {
			continue
		}
		name := fmt.Sprintf("%d.crl", i)
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		read[name] = []string{}
		for _, e := range list[0].List.RevokedCertificateEntries {
			read[name] = append(read[name], serialText(e.SerialNumber))
		}
	}
	if len(read) < mutations/50 {
		t.Fatalf("only %d of %d lists are accepted: this test checks little", len(read), mutations)
	}
	script := `for f in *.crl; do openssl crl -inform DER -in "$f" -noout -text >"${f%.crl}.txt" 2>/dev/null || rm -f "${f%.crl}.txt"; done`
	shell := exec.Command("sh", "-c", script)
	shell.Dir = dir
	if out, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	accepted := 0
	for name, got := range read {
		text, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(name, ".crl")+".txt"))
		if err != nil {
			continue // OpenSSL does not read it
		}
		accepted++
		var want []string
		for line := range strings.Lines(string(text)) {
			if serial, ok := strings.CutPrefix(strings.TrimSpace(line), "Serial Number: "); ok {
				want = append(want, serial)
			}
		}
		if !slices.Equal(got, want) {
			raw, _ := os.ReadFile(filepath.Join(dir, name))
			t.Errorf("%s: we read %v, OpenSSL %v\n%s", name, got, want, hex.EncodeToString(raw))
		}
	}
	t.Logf("%d mutations, %d accepted here, %d of those by OpenSSL", mutations, len(read), accepted)
	if accepted < len(read)/2 {
		t.Errorf("OpenSSL reads %d of the %d accepted lists", accepted, len(read))
	}
}

// serialText returns a serial number as OpenSSL prints it.
func serialText(n *big.Int) string {
	text := fmt.Sprintf("%X", new(big.Int).Abs(n))
	if len(text)%2 == 1 {
		text = "0" + text
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	return text
}
