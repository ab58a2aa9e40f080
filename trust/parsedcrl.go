package trust

import (
	"bytes"
	"crypto/x509"
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

// parsedCRL is a revocation list and every check of it that depends on the list alone. It is
// immutable but for its cache of signers: verifiers share it. It holds sorted serial numbers: 2
// MB for 100,000 entries, and a look-up does not allocate.
type parsedCRL struct {
	list    *x509.RevocationList // without its entries
	name    string               // canonical, of the issuer
	serials [][serialSize]byte
	scope   scope
	until   time.Time
	faults  []configerror.Error // why it cannot be used, whatever the clock and the authorities are
	opaque  bool                // nothing but faults is known, or its signature cannot be checked

	mu      sync.Mutex
	signers map[Digest]bool // by fingerprint: whether that certificate signed the list
}

// parseCRL checks a list and its entries. It does not change the list.
func parseCRL(list *x509.RevocationList) *parsedCRL {
	l := &parsedCRL{opaque: true, signers: map[Digest]bool{}}
	if list == nil {
		l.report("the CRL is nil", "")
		return l
	}
	if err := checkListSyntax(list); err != nil {
		l.report("the CRL cannot be read: "+err.Error(), crlSyntax)
		return l
	}
	return parseReadCRL(list)
}

// parseReadCRL is parseCRL for a list that passed checkListSyntax.
func parseReadCRL(list *x509.RevocationList) *parsedCRL {
	l := newParsedCRL(list)
	if l.opaque {
		return l
	}
	if l.checkEntries(list); len(l.faults) > 0 {
		return l
	}
	serials := make([][serialSize]byte, len(list.RevokedCertificateEntries))
	for i, e := range list.RevokedCertificateEntries {
		e.SerialNumber.FillBytes(serials[i][:])
	}
	l.setSerials(serials)
	return l
}

// newParsedCRL checks everything but the entries.
func newParsedCRL(list *x509.RevocationList) *parsedCRL {
	head := *list
	head.RevokedCertificateEntries = nil
	//lint:ignore SA1019 deprecated, and yet filled: it would keep every entry alive
	head.RevokedCertificates = nil
	l := &parsedCRL{list: &head, name: dn.Canonical(list.RawIssuer), until: list.NextUpdate, signers: map[Digest]bool{}}
	if l.until.IsZero() {
		l.until = list.ThisUpdate.Add(maxCRLAge)
	}
	l.checkHead()
	if len(l.faults) == 0 {
		l.scope = scopeOf(list)
	}
	return l
}

// setSerials sorts the serial numbers and takes them over.
func (l *parsedCRL) setSerials(serials [][serialSize]byte) {
	compare := func(a, b [serialSize]byte) int { return bytes.Compare(a[:], b[:]) }
	if !slices.IsSortedFunc(serials, compare) {
		slices.SortFunc(serials, compare)
	}
	l.serials = serials
}

func (l *parsedCRL) report(what, hint string) {
	l.faults = append(l.faults, configerror.Error{What: what, Hint: hint})
}

// checkHead checks everything but the entries.
func (l *parsedCRL) checkHead() {
	if name := algorithm.UnsupportedListSignature(l.list); name != "" {
		l.report("the CRL is signed with an algorithm that is not supported: "+name, "have the CA sign with "+algorithm.SupportedSignatures)
		l.opaque = true
		return
	}
	switch l.list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		// crypto/x509 refuses MD5 itself, but accepts SHA-1 for lists.
		l.report("the CRL is signed with "+l.list.SignatureAlgorithm.String(), "have the CA sign with SHA-256 or better")
	}
	for _, e := range l.list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			l.report("a delta CRL cannot be used", "use the complete CRL of this issuer")
		case e.Id.Equal(oidScope):
			if _, err := parseScope(e.Value); err != nil {
				l.report("the CRL's issuing distribution point cannot be used: "+err.Error(), "use a complete CRL that the CA itself issued")
			}
		case e.Critical:
			l.report("the CRL has an unknown critical extension: "+e.Id.String(), "use a CRL without this extension")
		}
	}
}

func (l *parsedCRL) checkEntries(list *x509.RevocationList) {
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.BitLen() > 8*serialSize || e.SerialNumber.Sign() < 0 {
			l.report(fmt.Sprintf("the CRL has a serial number of %d bytes, at most %d are allowed", len(e.SerialNumber.Bytes()), serialSize), "")
			return
		}
		for _, x := range e.Extensions {
			if x.Critical || x.Id.Equal(oidCertificateIssuer) {
				l.report("an entry of the CRL has an unknown critical extension, or one of an indirect CRL: "+x.Id.String(), "use a CRL that is not indirect")
				return
			}
		}
		if e.ReasonCode == reasonRemoved {
			l.report("an entry of the CRL has the reason removeFromCRL, which is for delta CRLs only", "use the complete CRL of this issuer")
			return
		}
	}
}

// check reports every reason why the list cannot be used: see trustaccess.CheckCRL. It
// compares the list with the clock and with the authorities at each call.
func (l *parsedCRL) check(authorities []*x509.Certificate, now time.Time) error {
	var wrong errorlist.List
	report := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	if l.list != nil && l.list.ThisUpdate.After(now) {
		report("the CRL is not valid before "+l.list.ThisUpdate.UTC().Format(time.RFC3339), "check the clock here and at the CA")
	}
	for _, e := range l.faults {
		wrong.Add(e)
	}
	if !l.opaque {
		l.checkSigner(authorities, report)
	}
	return wrong.Err()
}

// checkSigner rejects a list that has an authority's name but not its signature, and one that
// has its signature but not its name.
func (l *parsedCRL) checkSigner(authorities []*x509.Certificate, report func(what, hint string)) {
	named, other := false, (*x509.Certificate)(nil)
	for _, a := range authorities {
		switch {
		case a == nil:
		case dn.Equal(a.RawSubject, l.list.RawIssuer):
			named = true
			if l.signedBy(a) {
				return
			}
		case other == nil && sameKeyID(l.list.AuthorityKeyId, a.SubjectKeyId) && l.signedBy(a):
			other = a
		}
	}
	switch {
	case named:
		report("the CRL has the name of an anchor, but is not signed by its key", "download the CRL from the CA again; the key usage of the CA must include cRLSign")
	case other != nil:
		report("the CRL of "+quoteName(&l.list.Issuer)+" is signed by the key of "+quoteName(&other.Subject)+", which is another name",
			"add the CA certificate with the CRL's issuer name to anchors, or have the CA issue the CRL under its own name")
	}
}

// sameKeyID reports whether two key identifiers may be of one key. If one of them is missing,
// only the signature can show it.
func sameKeyID(a, b []byte) bool { return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) }

// isListable reports whether a list can hold a serial number. parseCRL rejects longer ones, so
// no list can show that a certificate with a longer serial number is not revoked.
func isListable(serial *big.Int) bool { return serial.Sign() >= 0 && serial.BitLen() <= 8*serialSize }

// revokes reports whether the list contains a serial number. A certificate on hold
// (RFC 5280 section 5.3.1) is revoked while it is on the list.
func (l *parsedCRL) revokes(serial *big.Int) bool {
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
func (l *parsedCRL) signedBy(issuer *x509.Certificate) bool {
	key := FingerprintOf(issuer)
	l.mu.Lock()
	ok, checked := l.signers[key]
	l.mu.Unlock()
	if checked {
		return ok
	}
	ok = signedBy(l.list, issuer) // without the lock: the ports that share the list do not wait for each other
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.signers) >= maxSigners {
		clear(l.signers) // a hostile intermediate could reissue itself without end
	}
	l.signers[key] = ok
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
