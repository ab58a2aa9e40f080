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
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// maxCRLAge is how long a CRL without a next update is believed.
const maxCRLAge = 7 * 24 * time.Hour

// serialSize is the most that RFC 5280 section 4.1.2.2 allows.
const serialSize = 20

// maxSigners bounds the answers that a list keeps about who signed it.
const maxSigners = 1024

// reasonRemoved is removeFromCRL (RFC 5280 section 5.3.1), for delta lists only.
const reasonRemoved = 8

// crl is one list, kept as sorted serials: two megabytes for 100,000 entries, and
// a look-up without allocation.
type crl struct {
	list        *x509.RevocationList // without its entries
	serials     [][serialSize]byte
	scope       scope
	until       time.Time
	replaced    bool         // a newer list of its series is here: it revokes, and shows nothing else
	authorities []*authority // of the list's name, whose key signed it

	mu      sync.Mutex
	signers map[Digest]bool // authorities asked so far, and whether the signature is theirs
}

var (
	oidDelta = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidScope = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// CheckCRL says whether a list can be believed at all: its type, its critical
// extensions, its start, its serials, and (where one of the authorities bears the
// issuer's name) its signature. Names are compared as RFC 5280 section 7.1 says. The
// signature of a list whose issuer is not among the authorities is judged when a chain
// shows that issuer. Every finding is a mistake.
func checkCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error {
	var wrong errorlist.List
	say := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	if list == nil {
		say("the CRL is nil", "")
		return wrong.Err()
	}
	if err := checkListSyntax(list); err != nil {
		say("the CRL cannot be read: "+err.Error(), unreadableCRL)
		return wrong.Err()
	}
	if list.ThisUpdate.After(now) {
		say("the CRL is not valid before "+list.ThisUpdate.UTC().Format(time.RFC3339), "check the clock here and at the CA")
	}
	switch list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		// crypto/x509 refuses MD5 itself; SHA-1 it still takes for lists.
		say("the CRL is signed with "+list.SignatureAlgorithm.String(), "have the CA sign with SHA-256 or better")
	}
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidDelta):
			say("a delta CRL cannot be used", "give the complete CRL of this issuer")
		case e.Id.Equal(oidScope):
			if _, err := parseScope(e.Value); err != nil {
				say("the CRL's issuing distribution point cannot be used: "+err.Error(), "give a complete CRL that the CA itself issued")
			}
		case e.Critical:
			say("the CRL has a critical extension that is not understood: "+e.Id.String(), "give a plain CRL")
		}
	}
	checkEntries(list, say)
	checkSigner(list, authorities, say)
	return wrong.Err()
}

func checkEntries(list *x509.RevocationList, say func(what, hint string)) {
	for _, e := range list.RevokedCertificateEntries {
		if len(e.SerialNumber.Bytes()) > serialSize || e.SerialNumber.Sign() < 0 {
			say(fmt.Sprintf("the CRL has a serial of %d bytes, at most %d are allowed", len(e.SerialNumber.Bytes()), serialSize), "")
			return
		}
		for _, x := range e.Extensions {
			if x.Critical || x.Id.Equal(oidCertificateIssuer) {
				say("an entry of the CRL has a critical extension that is not understood, or one of an indirect CRL: "+x.Id.String(), "give a CRL that is not indirect")
				return
			}
		}
		if e.ReasonCode == reasonRemoved {
			say("an entry of the CRL says removeFromCRL, which only a delta CRL may", "give the complete CRL of this issuer")
			return
		}
	}
}

// checkSigner refuses a list that bears an authority's name and not its signature, and
// one that bears its signature and not its name.
func checkSigner(list *x509.RevocationList, authorities []*x509.Certificate, say func(what, hint string)) {
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
		say("the CRL is not signed by the anchor whose name it bears", "take the CRL from the CA again; the CA's key usage must include cRLSign")
	case other != nil:
		say("the CRL of "+quote(list.Issuer.String())+" is signed by the key of "+quote(other.Subject.String())+", which is another name",
			"put the CA certificate with the CRL's name into anchors, or have the CA issue the CRL in its own name")
	}
}

// sameKeyID reports whether two key identifiers may be of one key. Where one of them is
// missing only the signature tells.
func sameKeyID(a, b []byte) bool { return len(a) == 0 || len(b) == 0 || bytes.Equal(a, b) }

// addCRL keeps a list that CheckCRL has passed.
func (v *Verifier) addCRL(list *x509.RevocationList, now time.Time) {
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
		v.warnings = append(v.warnings, fmt.Sprintf("no known authority signed the CRL of %s: it counts only for certificates whose chain shows an issuer of that name and key; name that issuer in crl_issuers, or remove the list",
			quote(list.Issuer.String())))
	}
	if now.After(l.until) {
		v.warnings = append(v.warnings, fmt.Sprintf("the CRL of %s was to be replaced by %s: it still revokes, and knows nothing else",
			quote(list.Issuer.String()), l.until.UTC().Format(time.RFC3339)))
	}
}

// markReplaced finds the lists that a newer one has replaced.
func (v *Verifier) markReplaced() {
	for _, lists := range v.crls {
		for _, l := range lists {
			l.replaced = slices.ContainsFunc(lists, func(other *crl) bool {
				signed := len(l.authorities) > 0 || len(l.list.AuthorityKeyId) > 0 // else the two may be of two keys
				return signed && l.sameSeries(other) && slices.Equal(l.authorities, other.authorities) && isOlder(l.list, other.list)
			})
		}
	}
}

// isListable reports whether a list can hold a serial number: CheckCRL refuses longer
// ones, so that no list shows that their certificates are not revoked.
func isListable(serial *big.Int) bool { return serial.Sign() >= 0 && serial.BitLen() <= 8*serialSize }

// revokes reports whether the list names a serial. A certificate on hold
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

// signedBy reports whether an authority's key made the list (RFC 5280 section
// 6.3.3 (f) and (g)). The answer is kept by certificate, not by key: of two
// certificates for one key, one may say cRLSign and the other not. Only authorities
// of chains that lead to an anchor are asked about, so the map stays as small as
// the PKI.
func (l *crl) signedBy(issuer *x509.Certificate) bool {
	key := FingerprintOf(issuer)
	l.mu.Lock()
	defer l.mu.Unlock()
	ok, asked := l.signers[key]
	if !asked {
		if len(l.signers) >= maxSigners {
			clear(l.signers) // an authority below an anchor may issue itself anew without end
		}
		ok = signedBy(l.list, issuer)
		l.signers[key] = ok
	}
	return ok
}

// signedBy checks the signature and that the issuer may sign CRLs. crypto/x509 takes a
// key usage without any bit for an absent one, which allows everything.
func signedBy(list *x509.RevocationList, issuer *x509.Certificate) bool {
	if has(issuer, oidKeyUsage) && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return false
	}
	return list.CheckSignatureFrom(issuer) == nil
}
