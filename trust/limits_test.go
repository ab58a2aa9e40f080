package trust

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
	"github.com/mtlsguard/mtlsguard/reason"
)

func bits(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }

func rsaKey(size uint) *rsa.PublicKey { return &rsa.PublicKey{N: bits(size - 1), E: 65537} }

// Covers B12.
func TestLimitsOfPresentedCertificates(t *testing.T) {
	t.Parallel()
	names := func(n, size int) *x509.Certificate {
		c := &x509.Certificate{}
		for range n {
			c.Subject.Names = append(c.Subject.Names, pkix.AttributeTypeAndValue{Value: strings.Repeat("x", size)})
		}
		return c
	}
	chain := func(n int) []*x509.Certificate { return slices.Repeat([]*x509.Certificate{{}}, n) }
	for name, row := range map[string]struct{ atLimit, beyond []*x509.Certificate }{
		"certificates": {chain(10), chain(11)},
		"bytes":        {[]*x509.Certificate{{Raw: make([]byte, 16384)}}, []*x509.Certificate{{Raw: make([]byte, 16385)}}},
		"bytes of an issuer": {
			[]*x509.Certificate{{}, {Raw: make([]byte, 16384)}}, []*x509.Certificate{{}, {Raw: make([]byte, 16385)}},
		},
		"RSA bits":   {[]*x509.Certificate{{PublicKey: rsaKey(8192)}}, []*x509.Certificate{{PublicKey: rsaKey(8193)}}},
		"attributes": {[]*x509.Certificate{names(64, 1)}, []*x509.Certificate{names(65, 1)}},
		"value":      {[]*x509.Certificate{names(1, 256)}, []*x509.Certificate{names(1, 257)}},
	} {
		if err := checkLimits(row.atLimit); err != nil {
			t.Errorf("%s, at the limit: %v", name, err)
		}
		if err := checkLimits(row.beyond); !isRefusal(err, reason.TooLarge) {
			t.Errorf("%s, one beyond the limit: %v", name, err)
		}
	}
}

// Covers B4.
func TestLimitsOfKeys(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	strict := &Verifier{}
	compatible := &Verifier{profile: Compatible}
	for _, row := range []struct {
		v      *Verifier
		anchor bool
		bits   uint
		ok     bool
	}{
		{strict, false, 2047, false}, {strict, false, 2048, true}, {strict, false, 4096, true}, {strict, false, 4097, false},
		{strict, true, 2047, false}, {strict, true, 8192, true}, {strict, true, 8193, false},
		{compatible, false, 8192, true}, {compatible, false, 8193, false},
	} {
		c := *ca.Cert
		c.PublicKey = rsaKey(row.bits)
		if err := row.v.checkKey(&c, row.anchor); (err == nil) != row.ok {
			t.Errorf("%d bits, anchor %t, profile %d: %v", row.bits, row.anchor, row.v.profile, err)
		}
	}
}

// A large key is allowed for the anchor of a chain, not for an intermediate.
func TestLargeKeyIsForTheAnchorOnly(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	leaf := sub.Leaf("alice")
	v := &Verifier{revocation: RevocationOff}
	large := func(c *x509.Certificate) *x509.Certificate {
		out := *c
		out.PublicKey = rsaKey(5000)
		return &out
	}
	now := time.Now()
	if _, err := v.checkChain(context.Background(), []*x509.Certificate{leaf.Cert, sub.Cert, large(ca.Cert)}, now, true); err != nil {
		t.Errorf("a large key of the anchor: %v", err)
	}
	if _, err := v.checkChain(context.Background(), []*x509.Certificate{leaf.Cert, large(sub.Cert), ca.Cert}, now, true); !isRefusal(err, reason.WeakKey) {
		t.Errorf("a large key of an intermediate: %v", err)
	}
}

func TestRefusalIsComparedByItsReason(t *testing.T) {
	t.Parallel()
	if err := reason.Refuse(reason.Revoked, "x"); !isRefusal(err, reason.Revoked) || isRefusal(err, reason.Expired) || isRefusal(nil, reason.Revoked) {
		t.Error("isRefusal does not compare the reason")
	}
}

// Covers H11.
func TestQuoteShortensLongText(t *testing.T) {
	t.Parallel()
	at, beyond := strings.Repeat("x", 200), strings.Repeat("x", 201)
	if got := quote(at); got != `"`+at+`"` {
		t.Errorf("200 bytes: %s, want %s", got, `"`+at+`"`)
	}
	if got := quote(beyond); got != `"`+at+`"…` {
		t.Errorf("201 bytes: %s, want %s", got, `"`+at+`"…`)
	}
}

// Covers B9, B22.
func TestNamesAtTheEdgeOfAConstraint(t *testing.T) {
	t.Parallel()
	if (subtrees{}).isConstrained() || !(subtrees{excluded: []string{"x"}}).isConstrained() || !(subtrees{permitted: []string{"x"}}).isConstrained() {
		t.Error("isConstrained is wrong")
	}
	for _, row := range []struct {
		constraint, host string
		want             bool
	}{
		{".acme.example", ".acme.example", false}, {".acme.example", "acme.example", false}, {".acme.example", "a.acme.example", true},
		{"acme.example", "ACME.example", true}, {"acme.example", "a.acme.example", false}, {"", "", false},
	} {
		if got := matchesHost(row.constraint, row.host); got != row.want {
			t.Errorf("host %q within %q: %t, want %t", row.host, row.constraint, got, row.want)
		}
	}
	for _, row := range []struct {
		constraint, address string
		want                bool
	}{
		{"@acme.example", "@acme.example", true}, {"@acme.example", "a@acme.example", false}, {"a@acme.example", "a@ACME.example", true},
		{"a@acme.example", "A@acme.example", false}, {"acme.example", "a@acme.example", true}, {".acme.example", "a@acme.example", false},
	} {
		if got := matchesMailbox(row.constraint, row.address); got != row.want {
			t.Errorf("address %q within %q: %t, want %t", row.address, row.constraint, got, row.want)
		}
	}
	for address, want := range map[string]bool{"a@acme.example": true, "@acme.example": false, "acme.example": false, "a@": false, "a@b c": false} {
		if got := isEmailAddress(address); got != want {
			t.Errorf("%q is an address: %t, want %t", address, got, want)
		}
	}
}

// Covers V8.
func TestSerialNumbersAtTheirLimits(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		serial *big.Int
		want   bool
	}{
		{big.NewInt(-1), false}, {big.NewInt(0), true}, {new(big.Int).Sub(bits(160), big.NewInt(1)), true}, {bits(160), false},
	} {
		if got := isListable(row.serial); got != row.want {
			t.Errorf("%x can be listed: %t, want %t", row.serial, got, row.want)
		}
	}
	ca := testpki.NewCA("Client CA")
	if err := checkCRL(ca.CRL(1, []*big.Int{big.NewInt(0)}), []*x509.Certificate{ca.Cert}, time.Now()); err != nil {
		t.Errorf("the serial number 0: %v", err)
	}
}

func TestKeyIdentifiersAreComparedWherePresent(t *testing.T) {
	t.Parallel()
	a, b := []byte{1}, []byte{2}
	if !sameKeyID(nil, a) || !sameKeyID(a, nil) || !sameKeyID(a, a) || sameKeyID(a, b) {
		t.Error("sameKeyID is wrong")
	}
}

// Covers V7.
func TestOlderListIsReplacedWhereItsKeyIsKnown(t *testing.T) {
	t.Parallel()
	known := []*authority{{}}
	for name, row := range map[string]struct {
		keyID       []byte
		authorities []*authority
		want        bool
	}{
		"no key":           {nil, nil, false},
		"a key identifier": {[]byte{1}, nil, true},
		"a known signer":   {nil, known, true},
	} {
		list := func(number int64) *crl {
			return &crl{parsedCRL: &parsedCRL{list: &x509.RevocationList{Number: big.NewInt(number), AuthorityKeyId: row.keyID}}, authorities: row.authorities}
		}
		older, newer := list(1), list(2)
		v := &Verifier{crls: map[string][]*crl{"": {older, newer}}}
		if v.markReplaced(); older.replaced != row.want || newer.replaced {
			t.Errorf("%s: the older one is replaced: %t, the newer one: %t", name, older.replaced, newer.replaced)
		}
	}
}

func TestSignatureChecksAreCachedUpToALimit(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	for before, want := range map[int]int{maxSigners - 1: maxSigners, maxSigners: 1} {
		l := &parsedCRL{list: ca.CRL(1, nil), signers: map[Digest]bool{}}
		for i := range before {
			l.signers[Digest{byte(i), byte(i >> 8), 1}] = true
		}
		if !l.signedBy(ca.Cert) || len(l.signers) != want || !l.signers[FingerprintOf(ca.Cert)] {
			t.Errorf("after %d checks %d are cached, want %d", before, len(l.signers), want)
		}
	}
}

// Covers V1.
func TestExtensionsAtTheirLimits(t *testing.T) {
	t.Parallel()
	integer := func(n *big.Int) []byte {
		b := cryptobyte.NewBuilder(nil)
		b.AddASN1BigInt(n)
		return b.BytesOrPanic()
	}
	for _, row := range []struct {
		number *big.Int
		want   bool
	}{
		{big.NewInt(-1), false}, {big.NewInt(0), true}, {new(big.Int).Sub(bits(159), big.NewInt(1)), true}, {bits(159), false},
	} {
		if got := isListExtension(oidNumber, false, integer(row.number)); got != row.want {
			t.Errorf("CRL number %x: %t, want %t", row.number, got, row.want)
		}
	}
	for code := -1; code <= 12; code++ {
		value := []byte{0x0a, 1, byte(code)}
		if got, want := isEntryExtension(oidReason, false, value), code >= 0 && code <= 10 && code != 7; got != want {
			t.Errorf("reason %d: %t, want %t", code, got, want)
		}
	}
	for name, row := range map[string]struct {
		value string
		want  bool
	}{
		"an identifier":           {"\x30\x03\x80\x01x", true},
		"a name and a serial":     {"\x30\x08\xa1\x03\x82\x01a\x82\x01\x07", true},
		"a name, an empty serial": {"\x30\x07\xa1\x03\x82\x01a\x82\x00", false},
		"a name without a serial": {"\x30\x05\xa1\x03\x82\x01a", false},
		"a serial without a name": {"\x30\x03\x82\x01\x07", false},
		"a trailing NULL":         {"\x30\x03\x80\x01x\x05\x00", false},
		"a trailing NULL, inside": {"\x30\x05\x80\x01x\x05\x00", false},
	} {
		if got := isListExtension(oidAuthorityKey, false, []byte(row.value)); got != row.want {
			t.Errorf("authority key identifier, %s: %t, want %t", name, got, row.want)
		}
	}
}

// Covers B10.
func TestGeneralNamesByTheirTags(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"":                               true,
		"\x82\x00":                       true, // an empty DNS name
		"\x88\x01\x2a":                   true, // the last type, registeredID
		"\x89\x01\x2a":                   false,
		"\xa0\x02\x05\x00":               true,
		"\xa0\x00":                       false, // structured types must not be empty
		"\xa3\x00":                       false,
		"\xa5\x00":                       false,
		"\xa3\x02\x05\x00":               true,
		"\xa5\x02\x05\x00":               true,
		"\x80\x01x":                      false, // otherName must be constructed
		"\xa2\x02\x05\x00":               false, // a DNS name must not
		"\x02\x01\x01":                   false,
		"\x82\x01a\x86\x01b\x89\x01\x01": false,
	} {
		if got := areGeneralNames(cryptobyte.String(value)); got != want {
			t.Errorf("%x: %t, want %t", value, got, want)
		}
	}
	for value, want := range map[string]bool{
		"\x30\x07\xa0\x05\xa0\x03\x86\x01a":                  true,  // a full name
		"\x30\x07\xa0\x05\xa0\x03\x89\x01a":                  false, // with a bad tag
		"\x30\x06\xa0\x04\xa1\x02\x05\x00":                   true,  // relative to the issuer
		"\x30\x06\xa0\x04\xa2\x02\x05\x00":                   false,
		"\x30\x05\xa2\x03\x82\x01a":                          true, // the issuer of the list alone
		"\x30\x05\xa2\x03\x89\x01a":                          false,
		"\x30\x03\x81\x01\x00":                               false, // reasons alone
		"\x30\x00":                                           false,
		"\x30\x09\xa0\x05\xa0\x03\x86\x01a\x05\x00":          false,
		"\x30\x09\xa0\x07\xa0\x03\x86\x01a\x05\x00":          false,
		"\x30\x0c\xa0\x05\xa0\x03\x86\x01a\xa2\x03\x82\x01b": true,
	} {
		s := cryptobyte.String(value)
		if got := readPoint(&s); got != want {
			t.Errorf("distribution point %x: %t, want %t", value, got, want)
		}
	}
	for value, want := range map[string]bool{
		"": true, "\x80\x00": true, "\xa0\x00\x82\x00": true, "\x82\x00\x80\x00": false, "\x80\x00\x80\x00": false, "\x83\x00": false, "\x80\x00\x81\x00\x82\x00": true,
	} {
		if got := inAscendingTags(cryptobyte.String(value), 0, 1, 2); got != want {
			t.Errorf("tags of %x ascend: %t, want %t", value, got, want)
		}
	}
}

func TestTimesAtTheEdgesOfTheirForms(t *testing.T) {
	t.Parallel()
	for value, year := range map[string]int{
		"\x17\x0d500101000000Z": 1950, "\x17\x0d491231235959Z": 2049, "\x17\x0d000101000000Z": 2000, "\x17\x0d991231235959Z": 1999,
		"\x18\x0f20500101000000Z": 2050, "\x18\x0f20491231235959Z": 0, "\x18\x0f20500101000060Z": 0, "\x17\x0b5001010000Z": 0,
	} {
		s := cryptobyte.String(value)
		if at, ok := readTime(&s); ok != (year != 0) || ok && at.Year() != year {
			t.Errorf("%q: got %v, %t; want the year %d", value, at, ok, year)
		}
	}
}

// An entry that crypto/x509 did not read is an error, not a panic.
func TestListWithFewerParsedEntriesIsRejected(t *testing.T) {
	t.Parallel()
	list := *testpki.NewCA("Client CA").CRL(1, []*big.Int{big.NewInt(7), big.NewInt(8)})
	if err := checkListSyntax(&list); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		short := list
		short.RevokedCertificateEntries = list.RevokedCertificateEntries[:n]
		if checkListSyntax(&short) == nil {
			t.Errorf("%d of 2 entries were parsed: no error", n)
		}
	}
}

func TestDigestWithMisplacedColonsIsRejected(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("ab", 32)
	colons := strings.TrimSuffix(strings.Repeat("ab:", 32), ":")
	for text, want := range map[string]bool{
		hex: true, colons: true, "SHA256:" + hex: true, "sha256:" + colons: true,
		"a:b" + colons[3:]: false, "sha256:": false, hex[:63]: false, hex + "a": false, colons + ":": false, colons[:94] + "x": false, hex[:63] + "x": false,
	} {
		if _, err := ParseDigest(text); (err == nil) != want {
			t.Errorf("%q: got %v, want a digest: %t", text, err, want)
		}
	}
}

func TestIssuerIsTheNextCertificateOfTheFirstChain(t *testing.T) {
	t.Parallel()
	a, b, c := &x509.Certificate{}, &x509.Certificate{}, &x509.Certificate{}
	for name, row := range map[string]struct {
		v    Verified
		want *x509.Certificate
	}{
		"zero value": {Verified{}, nil},
		"pinned":     {Verified{&result{chains: [][]*x509.Certificate{{a}}}}, nil},
		"anchor":     {Verified{&result{chains: [][]*x509.Certificate{{a, b}}}}, b},
		"two chains": {Verified{&result{chains: [][]*x509.Certificate{{a, c, b}, {a, b}}}}, c},
	} {
		if got := row.v.Issuer(); got != row.want {
			t.Errorf("%s: another issuer", name)
		}
	}
}

// Covers A23, H9.
func TestCacheKeepsTheFirstOfEqualResultsAndFourSetsOfChains(t *testing.T) {
	t.Parallel()
	v := &Verifier{generation: 7, cache: newCache()}
	leaf := &x509.Certificate{Raw: []byte("leaf")}
	with := func(issuer string, until int64) *result {
		return &result{generation: 7, fingerprint: FingerprintOf(leaf), presented: []*x509.Certificate{leaf, {Raw: []byte(issuer)}}, until: time.Unix(until, 0)}
	}
	kept := func() []*result {
		key := FingerprintOf(leaf)
		all, _ := v.cache.entries.Get(string(key[:]))
		return all
	}
	first := with("a", 100)
	if size := first.size(); size != 3*4096+2*len("leaf")+2*len("a") {
		t.Errorf("size %d, want %d", size, 3*4096+2*len("leaf")+2*len("a"))
	}
	v.remember(Verified{first})
	v.remember(Verified{with("a", 100)})
	v.remember(Verified{with("a", 99)})
	if all := kept(); len(all) != 1 || all[0] != first {
		t.Fatal("an equal result replaced the first one")
	}
	later := with("a", 101)
	if v.remember(Verified{later}); len(kept()) != 1 || kept()[0] != later {
		t.Fatal("a result that holds longer did not replace the first one")
	}
	for i, issuer := range []string{"b", "c", "d", "e", "f"} {
		v.remember(Verified{with(issuer, 100)})
		if n := len(kept()); n != min(i+2, 4) {
			t.Errorf("%d sets of chains after %d", n, i+2)
		}
	}
	if foreign := with("g", 100); true {
		foreign.generation = 8
		if v.remember(Verified{foreign}); slices.Contains(kept(), foreign) {
			t.Error("the result of another verifier is cached")
		}
	}
}

// Covers A23, H9.
func TestCacheIsBoundedInEntries(t *testing.T) {
	t.Parallel()
	v := &Verifier{generation: 7, cache: newCache()}
	for i := range cacheSize + 10 {
		leaf := &x509.Certificate{Raw: big.NewInt(int64(i)).Bytes()}
		v.remember(Verified{&result{generation: 7, fingerprint: FingerprintOf(leaf), presented: []*x509.Certificate{leaf}}})
		if n, size := v.Remembered(), v.RememberedBytes(); n > cacheSize || size > cacheBytes {
			t.Fatalf("%d leaves of %d bytes are cached", n, size)
		}
	}
}

// localStatus is a Responder with a local part, which package ocsp registers otherwise.
type localStatus struct {
	Responder
	status Status
	known  bool
	err    error
}

func (l *localStatus) StatusLocal(*x509.Certificate, *x509.Certificate) (Status, time.Time, bool, error) {
	return l.status, time.Now().Add(time.Hour), l.known, l.err
}

// Covers G10.
func TestVerificationWithoutWaitingUsesTheLocalPartOfTheResponder(t *testing.T) {
	hook.LocalResponder = func(r any) any {
		if l, ok := r.(*localStatus); ok {
			return l
		}
		return nil
	}
	defer func() { hook.LocalResponder = nil }()
	if localOf(nil) != nil || localOf(struct{ Responder }{}) != nil {
		t.Error("VerifyLocal used a responder without a local part")
	}
	ca := testpki.NewCA("Client CA")
	presented := ca.Leaf("alice").Presented()
	r := &localStatus{}
	v, err := New(Config{Anchors: []*x509.Certificate{ca.Cert}, Responder: r})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		status Status
		known  bool
		err    error
		want   reason.Reason
	}{
		{StatusGood, false, nil, "undecided"}, {StatusGood, true, nil, ""}, {StatusRevoked, true, nil, reason.Revoked},
		{StatusUnknown, true, nil, reason.RevocationUnknown}, {StatusUnknown, true, errUnreadableCopy, reason.RevocationUnknown},
	} {
		r.status, r.known, r.err = row.status, row.known, row.err
		_, err := v.verify(context.Background(), presented, false)
		switch {
		case row.want == "undecided":
			if err != errUndecided {
				t.Errorf("not cached: %v", err)
			}
		case row.want == "":
			if err != nil {
				t.Error(err)
			}
		case !isRefusal(err, row.want):
			t.Errorf("status %d: %v, want %s", row.status, err, row.want)
		}
	}
	if name := dn.Canonical(ca.Cert.RawSubject); len(v.crls[name]) != 0 {
		t.Error("there is a CRL")
	}
}
