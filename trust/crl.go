package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// maxCRLAge is the lifetime of a CRL without a next update.
const maxCRLAge = 7 * 24 * time.Hour

// serialSize is the largest size of a serial number, in bytes (RFC 5280 section 4.1.2.2).
const serialSize = 20

// maxSigners is the largest number of signature checks that a list caches.
const maxSigners = 1024

// reasonRemoved is removeFromCRL (RFC 5280 section 5.3.1), for delta lists only.
const reasonRemoved = 8

// crl is one revocation list. It holds sorted serial numbers: 2 MB for 100,000 entries, and a
// look-up does not allocate.
type crl struct {
	list        *x509.RevocationList // without its entries
	serials     [][serialSize]byte
	scope       scope
	until       time.Time
	replaced    bool         // by a newer list of its series: it still revokes, but shows nothing else
	authorities []*authority // of the list's issuer name, whose key signed it

	mu      sync.Mutex
	signers map[Digest]bool // by fingerprint: whether that certificate signed the list
}

var (
	oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// checkCRL reports every reason why a list cannot be used: see trustaccess.CheckCRL.
func checkCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error {
	var wrong errorlist.List
	report := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	if list == nil {
		report("the CRL is nil", "")
		return wrong.Err()
	}
	if err := checkListSyntax(list); err != nil {
		report("the CRL cannot be read: "+err.Error(), crlSyntax)
		return wrong.Err()
	}
	if list.ThisUpdate.After(now) {
		report("the CRL is not valid before "+list.ThisUpdate.UTC().Format(time.RFC3339), "check the clock here and at the CA")
	}
	if name := algorithm.UnsupportedListSignature(list); name != "" {
		report("the CRL is signed with an algorithm that is not supported: "+name, "have the CA sign with "+algorithm.SupportedSignatures)
		return wrong.Err() // its signature cannot be checked
	}
	switch list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		// crypto/x509 refuses MD5 itself, but accepts SHA-1 for lists.
		report("the CRL is signed with "+list.SignatureAlgorithm.String(), "have the CA sign with SHA-256 or better")
	}
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			report("a delta CRL cannot be used", "use the complete CRL of this issuer")
		case e.Id.Equal(oidScope):
			if _, err := parseScope(e.Value); err != nil {
				report("the CRL's issuing distribution point cannot be used: "+err.Error(), "use a complete CRL that the CA itself issued")
			}
		case e.Critical:
			report("the CRL has an unknown critical extension: "+e.Id.String(), "use a CRL without this extension")
		}
	}
	checkEntries(list, report)
	checkSigner(list, authorities, report)
	return wrong.Err()
}

func checkEntries(list *x509.RevocationList, report func(what, hint string)) {
	for _, e := range list.RevokedCertificateEntries {
		if len(e.SerialNumber.Bytes()) > serialSize || e.SerialNumber.Sign() < 0 {
			report(fmt.Sprintf("the CRL has a serial number of %d bytes, at most %d are allowed", len(e.SerialNumber.Bytes()), serialSize), "")
			return
		}
		for _, x := range e.Extensions {
			if x.Critical || x.Id.Equal(oidCertificateIssuer) {
				report("an entry of the CRL has an unknown critical extension, or one of an indirect CRL: "+x.Id.String(), "use a CRL that is not indirect")
				return
			}
		}
		if e.ReasonCode == reasonRemoved {
			report("an entry of the CRL has the reason removeFromCRL, which is for delta CRLs only", "use the complete CRL of this issuer")
			return
		}
	}
}

// checkSigner rejects a list that has an authority's name but not its signature, and one that
// has its signature but not its name.
func checkSigner(list *x509.RevocationList, authorities []*x509.Certificate, report func(what, hint string)) {
	named, other := false, (*x509.Certificate)(nil)
	for _, a := range authorities {
		switch {
		case a == nil:
		case dn.Equal(a.RawSubject, list.RawIssuer):
			named = true
			if signedBy(list, a) {
				return
			}
		case other == nil && sameKeyID(list.AuthorityKeyId, a.SubjectKeyId) && signedBy(list, a):
			other = a
		}
	}
	switch {
	case named:
		report("the CRL has the name of an anchor, but is not signed by its key", "download the CRL from the CA again; the key usage of the CA must include cRLSign")
	case other != nil:
		report("the CRL of "+quoteName(&list.Issuer)+" is signed by the key of "+quoteName(&other.Subject)+", which is another name",
			"add the CA certificate with the CRL's issuer name to anchors, or have the CA issue the CRL under its own name")
	}
}

// sameKeyID reports whether two key identifiers may be of one key. If one of them is missing,
// only the signature can show it.
func sameKeyID(a, b []byte) bool { return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) }

// addCRL adds a list that passed checkCRL.
func (v *Verifier) addCRL(list *x509.RevocationList) {
	kept := *list
	kept.RevokedCertificateEntries = nil
	//lint:ignore SA1019 deprecated, and yet filled: it would keep every entry alive
	kept.RevokedCertificates = nil
	l := &crl{list: &kept, scope: scopeOf(list), until: list.NextUpdate, signers: map[Digest]bool{}}
	if l.until.IsZero() {
		l.until = list.ThisUpdate.Add(maxCRLAge)
	}
	l.serials = make([][serialSize]byte, 0, len(list.RevokedCertificateEntries))
	for _, e := range list.RevokedCertificateEntries {
		var s [serialSize]byte
		e.SerialNumber.FillBytes(s[:])
		l.serials = append(l.serials, s)
	}
	slices.SortFunc(l.serials, func(a, b [serialSize]byte) int { return bytes.Compare(a[:], b[:]) })
	name := dn.Canonical(list.RawIssuer)
	v.crls[name] = append(v.crls[name], l)
	for _, a := range v.authorities {
		if a.name == name && l.signedBy(a.cert) {
			l.authorities = append(l.authorities, a)
		}
	}
	if v.revocation == RevocationOff {
		return
	}
	if len(l.authorities) == 0 {
		v.warn(fmt.Sprintf("no known authority signed the CRL of %s: it applies only to certificates whose chain contains an issuer with that name and key%s", quoteName(&list.Issuer), v.printedAlike(list)),
			"add that issuer to crl_issuers, or remove the CRL")
	}
}

// printedAlike names an authority that is not the issuer of a list, although its name looks
// like the issuer's.
func (v *Verifier) printedAlike(list *x509.RevocationList) string {
	for _, a := range v.authorities {
		if isPrintedAlike(&a.cert.Subject, &list.Issuer) && dn.Print(&a.cert.Subject) == dn.Print(&list.Issuer) {
			return fmt.Sprintf("; the name of the authority with serial %X is printed alike, with its parts in another order or form", a.cert.SerialNumber)
		}
	}
	return ""
}

// markReplaced finds the lists that a newer list replaces.
func (v *Verifier) markReplaced() {
	for _, lists := range v.crls {
		for _, l := range lists {
			l.replaced = slices.ContainsFunc(lists, func(other *crl) bool {
				signed := len(l.authorities) > 0 || len(l.list.AuthorityKeyId) > 0 // otherwise they may be of two keys
				return signed && l.sameSeries(other) && slices.Equal(l.authorities, other.authorities) && isOlder(l.list, other.list)
			})
		}
	}
}

// isListable reports whether a list can hold a serial number. checkCRL rejects longer ones, so
// no list can show that a certificate with a longer serial number is not revoked.
func isListable(serial *big.Int) bool { return serial.Sign() >= 0 && serial.BitLen() <= 8*serialSize }

// revokes reports whether the list contains a serial number. A certificate on hold
// (RFC 5280 section 5.3.1) is revoked while it is on the list.
func (l *crl) revokes(serial *big.Int) bool {
	var s [serialSize]byte
	if !isListable(serial) {
		return false
	}
	serial.FillBytes(s[:])
	i := sort.Search(len(l.serials), func(i int) bool { return bytes.Compare(l.serials[i][:], s[:]) >= 0 }) // compares in place
	return i < len(l.serials) && l.serials[i] == s
}

// signedBy reports whether an issuer signed the list (RFC 5280 section 6.3.3 (f) and (g)). It
// caches the result by certificate, not by key: of two certificates for one key, only one may
// have cRLSign. Only issuers in chains to an anchor are checked, so the cache stays small.
func (l *crl) signedBy(issuer *x509.Certificate) bool {
	key := FingerprintOf(issuer)
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, checked := l.signers[key]
	if !checked {
		if len(l.signers) >= maxSigners {
			clear(l.signers) // a hostile intermediate could reissue itself without end
		}
		ok = signedBy(l.list, issuer)
		l.signers[key] = ok
	}
	return ok
}

// signedBy checks that the issuer may sign CRLs, and the signature. crypto/x509 treats a key
// usage without any bit like an absent one, which allows everything.
func signedBy(list *x509.RevocationList, issuer *x509.Certificate) bool {
	if has(issuer, oidKeyUsage) && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return false
	}
	return list.CheckSignatureFrom(issuer) == nil
}
