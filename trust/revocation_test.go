package trust_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func lists(l ...*x509.RevocationList) []*x509.RevocationList { return l }

func serials(pairs ...*testpki.Pair) []*big.Int {
	var out []*big.Int
	for _, p := range pairs {
		out = append(out, p.Cert.SerialNumber)
	}
	return out
}

type change = func(*x509.RevocationList)

func from(at time.Time) change { return func(l *x509.RevocationList) { l.ThisUpdate = at } }
func until(at time.Time) change {
	return func(l *x509.RevocationList) {
		l.NextUpdate = at
		if l.ThisUpdate.After(at) {
			l.ThisUpdate = at.Add(-time.Hour)
		}
	}
}
func extension(critical bool, value []byte, oid ...int) change {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: oid, Critical: critical, Value: value})
	}
}
func entryExtension(critical bool, value []byte, oid ...int) change {
	return func(l *x509.RevocationList) {
		l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: oid, Critical: critical, Value: value}}
	}
}

// idp is an issuing distribution point extension.
type idp struct {
	Point      asn1.RawValue  `asn1:"optional"`
	Users      bool           `asn1:"optional,tag:1"`
	CAs        bool           `asn1:"optional,tag:2"`
	Reasons    asn1.BitString `asn1:"optional,tag:3"`
	Indirect   bool           `asn1:"optional,tag:4"`
	Attributes bool           `asn1:"optional,tag:5"`
}

func (i idp) change(t testing.TB) change {
	t.Helper()
	return extension(true, marshal(t, i), 2, 5, 29, 28)
}

// at returns a distribution point name with a URI.
func at(t testing.TB, uri string) asn1.RawValue {
	t.Helper()
	general := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(uri)})
	full := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: general})
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: full}
}

func TestRevocationModes(t *testing.T) {
	ca, other := testpki.NewCA("Client CA"), testpki.NewCA("Other CA")
	sub := ca.SubCA("Sub")
	alice, bad, carol, eve := ca.Leaf("alice"), ca.Leaf("bad"), sub.Leaf("carol"), other.Leaf("eve")
	good := ca.CRL(1, serials(bad))
	stale := ca.CRL(1, serials(bad), until(time.Now().Add(-time.Minute)))
	full := lists(good, sub.CRL(1, nil), other.CRL(1, nil))
	type want map[*testpki.Pair]reason.Reason
	const unknown = reason.RevocationUnknown
	for _, row := range []struct {
		name string
		mode trust.Revocation
		crls []*x509.RevocationList
		want want
	}{
		{"auto without CRLs is off", trust.RevocationAuto, nil, want{alice: "", bad: "", carol: "", eve: ""}},
		{"auto with CRLs is hard", trust.RevocationAuto, lists(good), want{alice: "", bad: reason.Revoked, carol: unknown, eve: unknown}},
		{"hard", trust.RevocationHard, full, want{alice: "", bad: reason.Revoked, carol: "", eve: ""}},
		{"hard, an issuer without CRL", trust.RevocationHard, lists(good), want{alice: "", bad: reason.Revoked, carol: unknown, eve: unknown}},
		{"soft, an issuer without CRL", trust.RevocationSoft, lists(good), want{alice: "", bad: reason.Revoked, carol: "", eve: ""}},
		{"soft without CRLs", trust.RevocationSoft, nil, want{alice: "", bad: "", carol: "", eve: ""}},
		{"off looks nothing up", trust.RevocationOff, full, want{alice: "", bad: "", carol: "", eve: ""}},
		{"hard, stale", trust.RevocationHard, lists(stale), want{alice: unknown, bad: reason.Revoked}},
		{"soft, stale", trust.RevocationSoft, lists(stale), want{alice: "", bad: reason.Revoked}},
		{"stale and fresh", trust.RevocationHard, lists(stale, good), want{alice: "", bad: reason.Revoked}},
		{"fresh without, stale with", trust.RevocationHard, lists(stale, ca.CRL(2, nil)), want{alice: "", bad: reason.Revoked}},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert, other.Cert}, Revocation: row.mode, CRLs: row.crls})
			for p, w := range row.want {
				expect(t, v, p.Presented(), w)
			}
		})
	}
}

func TestRevokedIntermediate(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	carol := sub.Leaf("carol").Presented()
	for name, crls := range map[string][]*x509.RevocationList{
		"its CRL is there":     lists(ca.CRL(1, serials(sub)), sub.CRL(1, nil)),
		"its CRL is not there": lists(ca.CRL(1, serials(sub))), // unknown for the leaf; revoked takes precedence
	} {
		t.Run(name, func(t *testing.T) {
			for _, mode := range []trust.Revocation{trust.RevocationHard, trust.RevocationSoft} {
				expect(t, verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: crls, Revocation: mode}), carol, reason.Revoked)
			}
		})
	}
	// The same authority by another certificate, which is not revoked.
	second := testpki.NewCA("Second CA")
	bySecond := testpki.Make(second, sub.Key, &x509.Certificate{
		Subject: sub.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: sub.Cert.SubjectKeyId,
	})
	v := verifier(t, trust.Config{
		Anchors: certs{ca.Cert, second.Cert},
		CRLs:    lists(ca.CRL(1, serials(sub)), second.CRL(1, nil), sub.CRL(1, nil)),
	})
	got := expect(t, v, append(carol, bySecond.Cert), "")
	if trustaccess.IssuedUnder(got, trust.SPKIOf(ca.Cert)) {
		t.Error("the chain through the revoked certificate counts")
	}
}

func TestAnchorIsNotCheckedForRevocation(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, serials(ca)))})
	expect(t, v, ca.Leaf("alice").Presented(), "")
}

// A list of an intermediate counts only if a chain contains the intermediate.
func TestIntermediatesCRL(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	impostor := testpki.NewCA("Sub")
	carol := sub.Leaf("carol")
	genuine := sub.CRL(1, serials(carol))
	forged := impostor.CRL(2, nil)
	config := func(l ...*x509.RevocationList) trust.Config {
		return trust.Config{Anchors: certs{ca.Cert}, CRLs: append(l, ca.CRL(1, nil))}
	}
	expect(t, verifier(t, config(genuine)), carol.Presented(), reason.Revoked)
	expect(t, verifier(t, config(sub.CRL(1, nil))), carol.Presented(), "")
	expect(t, verifier(t, config(forged)), carol.Presented(), reason.RevocationUnknown)
	expect(t, verifier(t, config(forged, genuine)), carol.Presented(), reason.Revoked)
	expect(t, verifier(t, config(impostor.CRL(2, serials(carol)), sub.CRL(1, nil))), carol.Presented(), "")
	// An intermediate that must not sign lists.
	mute := ca.SubCA("Mute", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	list := (&testpki.Pair{Cert: withCRLSign(mute), Key: mute.Key}).CRL(1, nil)
	expect(t, verifier(t, config(list)), mute.Leaf("dave").Presented(), reason.RevocationUnknown)
}

func withCRLSign(p *testpki.Pair) *x509.Certificate {
	c := *p.Cert
	c.KeyUsage |= x509.KeyUsageCRLSign
	return &c
}

// Two certificates for one key, one of which must not sign lists: the result for one must
// not be cached for the other.
func TestCRLSignerIsRememberedByCertificate(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	mute := testpki.Make(ca, sub.Key, &x509.Certificate{
		Subject: sub.Cert.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: sub.Cert.SubjectKeyId,
	})
	carol := sub.Leaf("carol")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Revocation: trust.RevocationSoft, CRLs: lists(sub.CRL(1, serials(carol)))})
	expect(t, v, certs{carol.Cert, mute.Cert}, "") // soft: unknown is accepted
	expect(t, v, carol.Presented(), reason.Revoked)
}

// After a key rollover of the CA, the old and the new key are one authority: the list of
// either key revokes certificates of the other. The list of the new key also shows that
// certificates of the old key are not revoked, and not the other way round.
//
// Covers V3.
func TestKeyRollover(t *testing.T) {
	t.Parallel()
	const unknown = reason.RevocationUnknown
	earlier := func(c *x509.Certificate) { c.NotBefore = time.Now().Add(-48 * time.Hour) }
	old, renewed := testpki.NewCA("Client CA", earlier), testpki.NewCA("Client CA")
	reencoded := testpki.NewCA("client  ca") // the same name (RFC 5280 section 7.1)
	namesake, unknownCA := testpki.NewCA("Other CA"), testpki.NewCA("Client CA")
	one, two := old.Leaf("one"), renewed.Leaf("two")
	stale := until(time.Now().Add(-time.Minute))
	authorities := certs{old.Cert, renewed.Cert, reencoded.Cert, namesake.Cert}
	for _, row := range []struct {
		name                 string
		anchors              certs
		crls                 []*x509.RevocationList
		hardOne, hardTwo     reason.Reason
		softOne, softTwo     reason.Reason
		refusedWhenItIsBuilt bool
	}{
		{"the new key's list has the old key's leaf", authorities, lists(renewed.CRL(1, serials(one))), reason.Revoked, "", reason.Revoked, "", false},
		{"the old key's list has the new key's leaf", authorities, lists(old.CRL(1, serials(two))), "", reason.Revoked, "", reason.Revoked, false},
		{"each list has the other's leaf", authorities, lists(old.CRL(1, serials(two)), renewed.CRL(1, serials(one))), reason.Revoked, reason.Revoked, reason.Revoked, reason.Revoked, false},
		{"a stale list of the new key", authorities, lists(renewed.CRL(1, serials(one), stale)), reason.Revoked, unknown, reason.Revoked, "", false},
		{"the new key's list alone", authorities, lists(renewed.CRL(1, nil)), "", "", "", "", false},
		{"the old key's list alone", authorities, lists(old.CRL(1, nil)), "", unknown, "", "", false},
		{"the old key's list is stale", authorities, lists(old.CRL(1, nil, stale), renewed.CRL(1, nil)), unknown, "", "", "", false},
		{"each has its list", authorities, lists(old.CRL(1, nil), renewed.CRL(1, serials(two))), "", reason.Revoked, "", reason.Revoked, false},
		{"a key of the name in another encoding", authorities, lists(reencoded.CRL(1, serials(one, two))), reason.Revoked, reason.Revoked, reason.Revoked, reason.Revoked, false},
		{"another authority's list", authorities, lists(namesake.CRL(1, serials(one, two))), unknown, unknown, "", "", false},
		{"an unknown CA of the name", authorities, lists(unknownCA.CRL(1, serials(one, two))), "", "", "", "", true},
		{"the new key is no anchor", certs{old.Cert}, lists(renewed.CRL(1, serials(one))), "", "", "", "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			for mode, want := range map[trust.Revocation][2]reason.Reason{trust.RevocationHard: {row.hardOne, row.hardTwo}, trust.RevocationSoft: {row.softOne, row.softTwo}} {
				v, err := trust.New(trust.Config{Anchors: row.anchors, CRLs: row.crls, Revocation: mode})
				if (err != nil) != row.refusedWhenItIsBuilt {
					t.Fatalf("New: %v", err)
				}
				if err != nil {
					continue
				}
				expect(t, v, one.Presented(), want[0])
				expect(t, v, two.Presented(), want[1])
			}
		})
	}
}

// After a key rollover of an intermediate, the list of the new key counts for certificates
// of the old key if the new certificate is known and leads to the anchor of the chain.
//
// Covers V3.
func TestKeyRolloverOfAnIntermediate(t *testing.T) {
	t.Parallel()
	ca, foreign := testpki.NewCA("Client CA"), testpki.NewCA("Foreign CA")
	old, renewed, imposed := ca.SubCA("Sub"), ca.SubCA("Sub"), foreign.SubCA("Sub")
	deep := ca.SubCA("Policy").SubCA("Sub")
	carol := old.Leaf("carol")
	try := func(list *x509.RevocationList, root *x509.RevocationList, mode trust.Revocation, want reason.Reason, issuers ...*x509.Certificate) {
		t.Helper()
		v := verifier(t, trust.Config{
			Anchors: certs{ca.Cert, foreign.Cert}, CRLs: lists(list, root), CRLIssuers: issuers, Revocation: mode,
		})
		expect(t, v, carol.Presented(), want)
	}
	root := ca.CRL(1, nil)
	for _, mode := range []trust.Revocation{trust.RevocationSoft, trust.RevocationHard} {
		try(renewed.CRL(1, serials(carol)), root, mode, reason.Revoked, renewed.Cert)
		try(renewed.CRL(1, nil), root, mode, "", renewed.Cert)
	}
	try(renewed.CRL(1, serials(carol)), root, trust.RevocationHard, reason.RevocationUnknown) // the new certificate is unknown: the list does not count
	try(imposed.CRL(1, serials(carol)), root, trust.RevocationSoft, "", imposed.Cert)         // known, under another anchor
	try(imposed.CRL(1, nil), root, trust.RevocationHard, reason.RevocationUnknown, imposed.Cert)
	try(renewed.CRL(1, nil), ca.CRL(1, serials(renewed)), trust.RevocationHard, reason.RevocationUnknown, renewed.Cert) // revoked itself
	try(deep.CRL(1, serials(carol)), root, trust.RevocationSoft, reason.Revoked, deep.Presented()[0], deep.Presented()[1])
	try(deep.CRL(1, serials(carol)), root, trust.RevocationSoft, "", deep.Cert) // the authority between is unknown
}

// nameOf returns a DER name with one common name in the string type tag.
func nameOf(t testing.TB, tag int, value string) []byte {
	t.Helper()
	type attribute struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	pair := marshal(t, attribute{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{Tag: tag, Bytes: []byte(value)}})
	set := marshal(t, asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: pair})
	return marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: set})
}

// named returns list with another encoding of its issuer's name, signed by ca.
func named(t testing.TB, ca *testpki.Pair, name []byte, list *x509.RevocationList) *x509.RevocationList {
	t.Helper()
	read, err := trustaccess.ReadCRLs("x.crl", remadeList(t, ca, list, func(inside *node) { inside.inner[tbsIssuer] = readNodes(name)[0] }))
	if err != nil {
		t.Fatal(err)
	}
	return read[0].List
}

// A list with another encoding of its CA's name is a list of that CA.
//
// Covers V2.
func TestCRLWhoseIssuerIsEncodedOtherwiseCounts(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub CA")
	alice, bad, carol, worse := ca.Leaf("alice"), ca.Leaf("bad"), sub.Leaf("carol"), sub.Leaf("worse")
	for what, name := range map[string]string{
		"UTF8String": "\x0cClient CA", "BMPString": "\x1e\x00C\x00l\x00i\x00e\x00n\x00t\x00 \x00C\x00A", "T61String": "\x14Client CA",
		"case": "\x13CLIENT ca", "blanks": "\x0c Client   CA ", "IA5String": "\x16client CA",
	} {
		t.Run(what, func(t *testing.T) {
			list := named(t, ca, nameOf(t, int(name[0]), name[1:]), ca.CRL(1, serials(bad)))
			subs := named(t, sub, nameOf(t, asn1.TagUTF8String, "SUB  ca"), sub.CRL(1, serials(worse)))
			for _, mode := range []trust.Revocation{trust.RevocationSoft, trust.RevocationHard} {
				v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(list, subs), Revocation: mode, MustBeRevoked: certs{bad.Cert}})
				expect(t, v, alice.Presented(), "")
				expect(t, v, bad.Presented(), reason.Revoked)
				expect(t, v, carol.Presented(), "")
				expect(t, v, worse.Presented(), reason.Revoked)
				if err := trustaccess.CheckNotOlder(v, ca.CRL(0, nil)); err == nil {
					t.Error("an older list in the first encoding is accepted")
				}
			}
		})
	}
	// Another name is the name of another authority, whichever key signed: New returns an error.
	for what, name := range map[string]string{"another name": "Client CA 2", "a part of it": "Client"} {
		list := named(t, ca, nameOf(t, asn1.TagUTF8String, name), ca.CRL(1, serials(bad)))
		if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(list), Revocation: trust.RevocationSoft}); err == nil || !strings.Contains(err.Error(), "another name") {
			t.Errorf("%s: got %v, want another name", what, err)
		}
	}
	// The name in another encoding, signed by another key.
	forged := named(t, sub, nameOf(t, asn1.TagUTF8String, "CLIENT CA"), ca.CRL(1, nil))
	if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(forged)}); err == nil {
		t.Error("a forged list is accepted")
	}
}

// A certificate that encodes its issuer's name differently than the issuer is refused, and
// the detail gives this cause.
//
// Covers V2.
func TestIssuerEncodedOtherwiseInAChainIsNamed(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	issuer := func(value string) func(*tbs) {
		return func(inside *tbs) {
			inside.Issuer = asn1.RawValue{FullBytes: nameOf(t, asn1.TagUTF8String, value)}
		}
	}
	for name, presented := range map[string]certs{
		"under the anchor":         parsed(t, ca, ca.Leaf("alice"), issuer("client CA")),
		"under a presented one":    append(parsed(t, sub, sub.Leaf("carol"), issuer("SUB")), sub.Cert),
		"an intermediate's issuer": append(certs{sub.Leaf("carol").Cert}, parsed(t, ca, sub, issuer("Client  CA"))...),
	} {
		_, err := trusting(t, ca.Cert).Verify(context.Background(), presented)
		if reasonOf(t, err) != reason.UnknownAuthority || !strings.Contains(err.Error(), "in another encoding") {
			t.Errorf("%s: got %v, want unknown-authority in another encoding", name, err)
		}
	}
}

// A list that no known authority signed can be the list of an intermediate that only
// clients send. It causes a warning, and never counts for another authority.
//
// Covers V2, L13.
func TestCRLOfAnUnknownAuthorityIsAWarning(t *testing.T) {
	t.Parallel()
	ca, unknownCA := testpki.NewCA("Client CA"), testpki.NewCA("Other CA")
	sub := ca.SubCA("Sub")
	unknown := func(v *trust.Verifier) bool {
		return slices.ContainsFunc(warningsOf(v), func(w string) bool { return strings.Contains(w, "no known authority signed the CRL of") })
	}
	for _, row := range []struct {
		name    string
		list    *x509.RevocationList
		mode    trust.Revocation
		issuers certs
		warns   bool
	}{
		{"the anchor's", ca.CRL(2, nil), trust.RevocationHard, nil, false},
		{"an unknown CA's", unknownCA.CRL(1, nil), trust.RevocationHard, nil, true},
		{"an unknown CA's, soft", unknownCA.CRL(1, nil), trust.RevocationSoft, nil, true},
		{"an unknown CA's, off", unknownCA.CRL(1, nil), trust.RevocationOff, nil, false},
		{"an intermediate's", sub.CRL(1, nil), trust.RevocationHard, nil, true},
		{"a known intermediate's", sub.CRL(1, nil), trust.RevocationHard, certs{sub.Cert}, false},
		{"an intermediate's of another key", testpki.NewCA("Sub").CRL(1, nil), trust.RevocationHard, nil, true},
	} {
		v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, nil), row.list), Revocation: row.mode, CRLIssuers: row.issuers})
		if unknown(v) != row.warns {
			t.Errorf("%s: warnings %q", row.name, warningsOf(v))
		}
		expect(t, v, ca.Leaf("alice").Presented(), "")
	}
	// With a known name and another key: an error.
	if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(testpki.NewCA("Sub").CRL(1, nil)), CRLIssuers: certs{sub.Cert}}); err == nil {
		t.Error("a forged list of a known intermediate is accepted")
	}
	// A CRL issuer that leads to no anchor, one that is not a CA, and nil.
	if v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLIssuers: certs{unknownCA.Cert}}); len(warningsOf(v)) == 0 {
		t.Error("a CRL issuer that leads to no anchor: no warning")
	}
	for _, c := range []*x509.Certificate{nil, ca.Leaf("alice").Cert} {
		if _, err := trust.New(trust.Config{Anchors: certs{ca.Cert}, CRLIssuers: certs{c}}); err == nil {
			t.Error("a CRL issuer that is not a CA is accepted")
		}
	}
}

// A list that cannot be trusted is an error of New.
func TestInvalidCRLsAreRejected(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	bad := ca.Leaf("bad")
	now := time.Now()
	oid := []int{1, 3, 6, 1, 4, 1, 99999, 1}
	null := []byte{5, 0}
	mute := testpki.NewCA("Client CA", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	byMute := (&testpki.Pair{Cert: withCRLSign(mute), Key: mute.Key}).CRL(1, nil)
	relative := asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true})}
	made := func(c ...change) *x509.RevocationList { return ca.CRL(1, serials(bad), c...) }
	for _, row := range []struct {
		name string
		list *x509.RevocationList
		ok   bool
	}{
		{"good", made(), true},
		{"extension, not critical", made(extension(false, null, oid...)), true},
		{"extension, critical", made(extension(true, null, oid...)), false},
		{"entry extension, not critical", made(entryExtension(false, null, oid...)), true},
		{"entry extension, critical", made(entryExtension(true, null, oid...)), false},
		{"certificate issuer in an entry", made(entryExtension(true, []byte{0x30, 0}, 2, 5, 29, 29)), false},
		{"delta", made(extension(true, []byte{2, 1, 1}, 2, 5, 29, 27)), false},
		{"delta, not critical", made(extension(false, []byte{2, 1, 1}, 2, 5, 29, 27)), false},
		{"not yet valid", made(from(now.Add(time.Minute))), false},
		{"removeFromCRL", made(func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 8 }), false},
		{"certificateHold", made(func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 6 }), true},
		{"serial of 21 bytes", made(func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].SerialNumber = new(big.Int).Lsh(big.NewInt(1), 160)
		}), false},
		{"serial of 20 bytes", made(func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].SerialNumber = new(big.Int).Lsh(big.NewInt(1), 159)
		}), true},
		{"forged", testpki.NewCA("Client CA").CRL(1, nil), false},
		{"signed by an authority that must not sign lists", byMute, false},
		{"for users", made(idp{Users: true}.change(t)), true},
		{"for users and authorities", made(idp{Users: true, CAs: true}.change(t)), false},
		{"for authorities and attributes", made(idp{CAs: true, Attributes: true}.change(t)), false},
		{"indirect", made(idp{Indirect: true}.change(t)), false},
		{"some reasons", made(idp{Reasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}}.change(t)), true},
		{"point by URI", made(idp{Point: at(t, "http://crl.example/a")}.change(t)), true},
		{"point relative to the issuer", made(idp{Point: relative}.change(t)), false},
		{"scope cut off", made(extension(true, []byte{0x30, 5, 1}, 2, 5, 29, 28)), false},
		{"scope with a trailing NULL", made(extension(true, []byte{0x30, 0, 5, 0}, 2, 5, 29, 28)), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := trust.New(trust.Config{Anchors: certs{ca.Cert, mute.Cert}[:1], CRLs: lists(row.list)})
			if (err == nil) != row.ok {
				t.Fatalf("New: %v, want ok %v", err, row.ok)
			}
			if err != nil && len(configerror.All(err)) == 0 {
				t.Errorf("the error contains no configuration errors: %v", err)
			}
			if got := trustaccess.CheckCRL(row.list, certs{ca.Cert}, now); (got == nil) != row.ok {
				t.Errorf("CheckCRL: %v", got)
			}
		})
	}
	if trustaccess.CheckCRL(nil, certs{ca.Cert}, now) == nil {
		t.Error("a nil CRL is accepted")
	}
	if _, err := trust.New(trust.Config{Anchors: certs{mute.Cert}, CRLs: lists(byMute)}); err == nil {
		t.Error("a list of an anchor that must not sign lists was accepted")
	}
	if _, err := trust.New(trust.Config{Anchors: file(t, "client-ca"), CRLs: lists(crlFile(t, "client-ca-forged.crl"))}); err == nil {
		t.Error("client-ca-forged.crl was accepted")
	}
}

func TestCRLScopes(t *testing.T) {
	const here, elsewhere = "http://crl.example/here", "http://crl.example/elsewhere"
	ca := testpki.NewCA("Client CA")
	sub := ca.SubCA("Sub")
	plain := ca.Leaf("plain")
	pointed := ca.Leaf("pointed", func(c *x509.Certificate) { c.CRLDistributionPoints = []string{here} })
	below := sub.Leaf("below")
	bad := ca.Leaf("bad")
	const unknown = reason.RevocationUnknown
	some := asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}
	for _, row := range []struct {
		name                  string
		scope                 idp
		plain, pointed, below reason.Reason
	}{
		{"everything", idp{}, "", "", ""},
		{"users", idp{Users: true}, "", "", unknown},
		{"authorities", idp{CAs: true}, unknown, unknown, ""},
		{"attributes", idp{Attributes: true}, unknown, unknown, unknown},
		{"some reasons", idp{Reasons: some}, unknown, unknown, unknown},
		{"the certificate's point", idp{Point: at(t, here)}, unknown, "", unknown},
		{"another point", idp{Point: at(t, elsewhere)}, unknown, unknown, unknown},
	} {
		t.Run(row.name, func(t *testing.T) {
			list := ca.CRL(1, serials(bad), row.scope.change(t))
			v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(list, sub.CRL(1, nil))})
			expect(t, v, plain.Presented(), row.plain)
			expect(t, v, pointed.Presented(), row.pointed)
			expect(t, v, below.Presented(), row.below)
			expect(t, v, bad.Presented(), reason.Revoked) // a list revokes, partial or not
		})
	}
	t.Run("users and authorities in two lists", func(t *testing.T) {
		v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(
			ca.CRL(1, nil, idp{Users: true}.change(t)), ca.CRL(2, nil, idp{CAs: true}.change(t)), sub.CRL(1, nil))})
		expect(t, v, below.Presented(), "")
	})
}

// A certificate whose distribution points all name another issuer of the CRL
// (RFC 5280 section 6.3.3 (b) (1)): the list of its own issuer does not cover it.
func TestCertificateWantsAnotherIssuersCRL(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	name := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: testpki.NewCA("CRL issuer").Cert.RawSubject})
	issuer := marshal(t, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: name})
	point := marshal(t, at(t, "http://crl.example/"))
	leaf := func(points ...[]byte) *testpki.Pair {
		var all []byte
		for _, p := range points {
			all = append(all, marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: p})...)
		}
		der := marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: all})
		return ca.Leaf("alice", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: der}}
		})
	}
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, CRLs: lists(ca.CRL(1, nil))})
	expect(t, v, leaf(point).Presented(), "")
	expect(t, v, leaf(issuer).Presented(), reason.RevocationUnknown)
	expect(t, v, leaf(bytes.Join([][]byte{point, issuer}, nil)).Presented(), reason.RevocationUnknown)
	expect(t, v, leaf(issuer, point).Presented(), "")
}

// Covers I6.
func TestHardRefusesAfterTheNextUpdate(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	start := time.Now().Truncate(time.Second)
	c := &clock{start}
	alice, bad := ca.Leaf("alice"), ca.Leaf("bad")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Now: c.now, CRLs: lists(ca.CRL(1, serials(bad), until(start.Add(10*time.Minute))))})
	got := expect(t, v, alice.Presented(), "")
	if !got.Until().Equal(start.Add(10 * time.Minute)) {
		t.Errorf("trusted until %v", got.Until())
	}
	c.at = start.Add(10 * time.Minute)
	expect(t, v, alice.Presented(), "")
	c.at = start.Add(10*time.Minute + time.Second)
	expect(t, v, alice.Presented(), reason.RevocationUnknown)
	expect(t, v, bad.Presented(), reason.Revoked)
	if got.ValidAt(c.at) {
		t.Error("the old result still holds")
	}
}

// crlInside is a TBSCertList with fields that crypto/x509 does not let a caller set.
type crlInside struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	ThisUpdate time.Time        `asn1:"utc"`
	NextUpdate time.Time        `asn1:"utc,optional"`
	Entries    []asn1.RawValue  `asn1:"omitempty,optional"`
	Extensions []pkix.Extension `asn1:"omitempty,optional,explicit,tag:0"`
}

func withoutNextUpdate(t *testing.T, ca *testpki.Pair, l *x509.RevocationList) *x509.RevocationList {
	t.Helper()
	var in crlInside
	if _, err := asn1.Unmarshal(l.RawTBSRevocationList, &in); err != nil {
		t.Fatal(err)
	}
	in.NextUpdate = time.Time{}
	out, err := x509.ParseRevocationList(sign(t, ca, in, in.Algorithm))
	if err != nil || !out.NextUpdate.IsZero() {
		t.Fatalf("next update %v, %v", out.NextUpdate, err)
	}
	return out
}

func TestCRLWithoutNextUpdateHoldsSevenDays(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	start := time.Now().Truncate(time.Second)
	long := func(c *x509.Certificate) { c.NotAfter = start.Add(30 * 24 * time.Hour) }
	alice, bad := ca.Leaf("alice", long), ca.Leaf("bad", long)
	c := &clock{start}
	list := withoutNextUpdate(t, ca, ca.CRL(1, serials(bad), from(start)))
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert}, Now: c.now, CRLs: lists(list)})
	expect(t, v, alice.Presented(), "")
	c.at = start.Add(7 * 24 * time.Hour)
	expect(t, v, alice.Presented(), "")
	c.at = start.Add(7*24*time.Hour + time.Second)
	expect(t, v, alice.Presented(), reason.RevocationUnknown)
	expect(t, v, bad.Presented(), reason.Revoked)
}

func TestStaleCRLStillRevokes(t *testing.T) {
	v := verifier(t, trust.Config{Anchors: file(t, "client-ca"), CRLs: lists(crlFile(t, "client-ca-stale.crl"))})
	if all := trustaccess.CurrentCRLs(v); len(all) != 1 || all[0].Until.Format(time.DateOnly) != "2024-02-01" {
		t.Errorf("current CRLs: %v", all)
	}
	expect(t, v, file(t, "alice"), reason.RevocationUnknown)
	expect(t, v, file(t, "revoked"), reason.Revoked)
}

func TestPinnedLeafAndRevocation(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	other := testpki.NewCA("Other CA")
	self := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{
		Subject: pkix.Name{CommonName: "self"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	issued, known := other.Leaf("issued"), ca.Leaf("known")
	v := verifier(t, trust.Config{Anchors: certs{ca.Cert, self.Cert, issued.Cert, known.Cert}, CRLs: lists(ca.CRL(1, serials(known)))})
	expect(t, v, self.Presented(), "")                         // no other issuer could revoke it
	expect(t, v, issued.Presented(), reason.RevocationUnknown) // its issuer could, and there is no list of it
	// A pinned certificate is still revoked by its issuer's list.
	if _, err := v.Verify(context.Background(), known.Presented()); err == nil {
		t.Error("a revoked certificate is trusted because it is an anchor")
	}
}

func TestReadCRLs(t *testing.T) {
	ca := testpki.NewCA("Client CA")
	der := ca.CRL(1, nil).Raw
	block := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	cert := ca.CertPEM()
	for _, row := range []struct {
		name string
		data []byte
		want int // number of lists; -1 is an error
	}{
		{"PEM", block, 1},
		{"two", append(bytes.Clone(block), block...), 2},
		{"CRLF", bytes.ReplaceAll(block, []byte("\n"), []byte("\r\n")), 1},
		{"DER", der, 1},
		{"DER with a byte after it", append(bytes.Clone(der), 0), -1},
		{"DER twice", append(bytes.Clone(der), der...), -1},
		{"DER cut off", der[:len(der)-1], -1},
		{"PEM with a byte after the DER", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: append(bytes.Clone(der), 0)}), -1},
		{"a certificate", cert, -1},
		{"with a certificate", append(bytes.Clone(block), cert...), -1},
		{"nothing", nil, -1},
		{"white space", []byte(" \r\n\t"), -1},
		{"a text that begins like DER", []byte("0 is a number\n"), -1},
		{"cut off", block[:len(block)-10], -1},
		{"one cut off and one good", append(bytes.Clone(block[:len(block)-30]), append([]byte("\n"), block...)...), -1},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := trustaccess.ReadCRLs("some.crl", row.data)
			if row.want < 0 && (err == nil || len(got) != 0 || len(configerror.All(err)) == 0) {
				t.Errorf("%d lists, %v", len(got), err)
			}
			if row.want >= 0 && (err != nil || len(got) != row.want) {
				t.Errorf("%d lists, %v", len(got), err)
			}
		})
	}
	two, err := trustaccess.ReadCRLs("some.crl", append([]byte("\n"), append(bytes.Clone(block), block...)...))
	if err != nil || two[0].Line != 2 || two[1].Line != 2+bytes.Count(block, []byte("\n")) {
		t.Errorf("lines %v, %v", two, err)
	}
}
