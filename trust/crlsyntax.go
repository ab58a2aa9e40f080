package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/dn"
)

var (
	oidNumber            = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReason            = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidCertificateIssuer = asn1.ObjectIdentifier{2, 5, 29, 29}
	oidAuthorityKey      = asn1.ObjectIdentifier{2, 5, 29, 35}
)

// checkListSyntax parses a list a second time, to the last byte, by RFC 5280 section 5.1, and
// compares its entries with those of crypto/x509.
//
// x509.ParseRevocationList ignores unexpected elements. A CA's list with one misplaced
// element would load and revoke nothing.
func checkListSyntax(list *x509.RevocationList) error {
	entries := list.RevokedCertificateEntries
	n, serial := 0, new(big.Int)
	read, err := readList(list.Raw, func(entry *cryptobyte.String) error {
		if !readEntry(entry, serial, isEntryExtension) {
			return fmt.Errorf("malformed entry %d of revokedCertificates", n)
		}
		if n >= len(entries) || entries[n].SerialNumber == nil || entries[n].SerialNumber.Cmp(serial) != 0 {
			return fmt.Errorf("it is ambiguous: entry %d", n)
		}
		n++
		return nil
	})
	switch {
	case err != nil:
		return err
	case n != len(entries):
		return fmt.Errorf("it is ambiguous: with %d entries and with %d", n, len(entries))
	case !bytes.Equal(read.tbs, list.RawTBSRevocationList), !bytes.Equal(read.issuer, list.RawIssuer):
		return errors.New("it is ambiguous")
	}
	return nil
}

// listSyntax holds the parts of a list that readList found.
type listSyntax struct {
	tbs, issuer   []byte
	before, after []byte // the content of tbs before and after revokedCertificates
	signature     []byte // what follows tbs
}

// readList reads a CertificateList. It calls readOne to read each entry from the front of the
// others.
func readList(raw []byte, readOne func(entries *cryptobyte.String) error) (out listSyntax, err error) {
	malformed := func(what string) (listSyntax, error) { return out, errors.New("malformed " + what) }
	input := cryptobyte.String(raw)
	var all, tbs, issuer, inner, outer cryptobyte.String
	var signature []byte
	if !input.ReadASN1(&all, der.SEQUENCE) || !input.Empty() {
		return malformed("CertificateList")
	}
	if !all.ReadASN1Element(&tbs, der.SEQUENCE) {
		return malformed("CertificateList")
	}
	out.tbs, out.signature = tbs, all
	if !all.ReadASN1(&outer, der.SEQUENCE) || !all.ReadASN1BitStringAsBytes(&signature) || !all.Empty() {
		return malformed("CertificateList")
	}
	var version int
	if !tbs.ReadASN1(&tbs, der.SEQUENCE) {
		return malformed("version")
	}
	content := tbs
	if !tbs.ReadASN1Integer(&version) || version != 1 {
		return malformed("version")
	}
	if !tbs.ReadASN1(&inner, der.SEQUENCE) || !bytes.Equal(inner, outer) || !isAlgorithm(inner) {
		return malformed("signature algorithm")
	}
	if !tbs.ReadASN1Element(&issuer, der.SEQUENCE) || !isName(issuer) {
		return malformed("issuer")
	}
	out.issuer = issuer
	if _, ok := readTime(&tbs); !ok {
		return malformed("thisUpdate")
	}
	if tbs.PeekASN1Tag(der.UTCTime) || tbs.PeekASN1Tag(der.GeneralizedTime) {
		if _, ok := readTime(&tbs); !ok {
			return malformed("nextUpdate")
		}
	}
	out.before = content[:len(content)-len(tbs)]
	if tbs.PeekASN1Tag(der.SEQUENCE) {
		var revoked cryptobyte.String
		if !tbs.ReadASN1(&revoked, der.SEQUENCE) || revoked.Empty() {
			return malformed("revokedCertificates") // without entries it must be absent, not empty
		}
		for !revoked.Empty() {
			if err := readOne(&revoked); err != nil {
				return out, err
			}
		}
	}
	out.after = tbs
	if explicit := der.Tag(0).Constructed().ContextSpecific(); tbs.PeekASN1Tag(explicit) {
		var extensions cryptobyte.String
		if !tbs.ReadASN1(&extensions, explicit) || !readExtensions(&extensions, isListExtension) || !extensions.Empty() {
			return malformed("crlExtensions, or a duplicate extension")
		}
	}
	if !tbs.Empty() {
		return malformed("TBSCertList: data after its last element")
	}
	return out, nil
}

// readEntry reads one entry of revokedCertificates from the front of s. serial is a *big.Int, or
// a *[]byte for a number that is not negative.
func readEntry(s *cryptobyte.String, serial any, isValid func(id asn1.ObjectIdentifier, critical bool, value []byte) bool) bool {
	var entry cryptobyte.String
	if !s.ReadASN1(&entry, der.SEQUENCE) || !entry.ReadASN1Integer(serial) {
		return false
	}
	if _, ok := readTime(&entry); !ok {
		return false
	}
	return entry.Empty() || readExtensions(&entry, isValid) && entry.Empty()
}

// readExtensions reads an Extensions from the front of s: one or more, without duplicates.
func readExtensions(s *cryptobyte.String, isValid func(id asn1.ObjectIdentifier, critical bool, value []byte) bool) bool {
	var all cryptobyte.String
	if !s.ReadASN1(&all, der.SEQUENCE) || all.Empty() {
		return false
	}
	var seen []asn1.ObjectIdentifier
	for !all.Empty() {
		var one, value cryptobyte.String
		var id asn1.ObjectIdentifier
		if !all.ReadASN1(&one, der.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&id) {
			return false
		}
		critical := false
		if one.PeekASN1Tag(der.BOOLEAN) && !one.ReadASN1Boolean(&critical) {
			return false
		}
		if !one.ReadASN1(&value, der.OCTET_STRING) || !one.Empty() || slices.ContainsFunc(seen, id.Equal) || !isValid(id, critical, value) {
			return false
		}
		seen = append(seen, id)
	}
	return true
}

// isListExtension checks the values that crypto/x509 does not parse strictly (RFC 5280
// sections 5.2.1 and 5.2.3).
func isListExtension(id asn1.ObjectIdentifier, _ bool, value []byte) bool {
	s := cryptobyte.String(value)
	switch {
	case id.Equal(oidNumber):
		n := new(big.Int)
		return s.ReadASN1Integer(n) && s.Empty() && n.Sign() >= 0 && n.BitLen() < 8*serialSize
	case id.Equal(oidAuthorityKey):
		var inner cryptobyte.String
		var id, names, serial cryptobyte.String
		var hasID, hasNames, hasSerial bool
		return s.ReadASN1(&inner, der.SEQUENCE) && s.Empty() && inner.ReadOptionalASN1(&id, &hasID, der.Tag(0).ContextSpecific()) &&
			inner.ReadOptionalASN1(&names, &hasNames, der.Tag(1).Constructed().ContextSpecific()) &&
			inner.ReadOptionalASN1(&serial, &hasSerial, der.Tag(2).ContextSpecific()) && inner.Empty() &&
			hasNames == hasSerial && areGeneralNames(names) && (!hasSerial || len(serial) > 0)
	}
	return true
}

// isEntryExtension checks the value that crypto/x509 does not parse strictly (RFC 5280
// section 5.3.1).
func isEntryExtension(id asn1.ObjectIdentifier, _ bool, value []byte) bool {
	if !id.Equal(oidReason) {
		return true
	}
	var reason int
	s := cryptobyte.String(value)
	return s.ReadASN1Enum(&reason) && s.Empty() && reason >= 0 && reason <= 10 && reason != 7
}

// inAscendingTags reports whether s contains only elements with these context tags, each at
// most once and in this order.
func inAscendingTags(s cryptobyte.String, tags ...uint8) bool {
	for _, n := range tags {
		var skipped cryptobyte.String
		var tag der.Tag
		rest := s
		if rest.ReadAnyASN1(&skipped, &tag) && tag&^0x20 == der.Tag(n).ContextSpecific() {
			s = rest
		}
	}
	return s.Empty()
}

// isAlgorithm reports whether s is the content of an AlgorithmIdentifier.
func isAlgorithm(s cryptobyte.String) bool {
	var id asn1.ObjectIdentifier
	var parameters cryptobyte.String
	var tag der.Tag
	return s.ReadASN1ObjectIdentifier(&id) && (s.Empty() || s.ReadAnyASN1(&parameters, &tag)) && s.Empty()
}

// isName reports whether raw is a non-empty Name (RFC 5280 section 5.1.2.3).
func isName(raw []byte) bool {
	empty := true
	ok := dn.Each(raw, func(int, asn1.ObjectIdentifier, der.Tag, []byte) bool { empty = false; return true })
	return ok && !empty
}
