package trust

import (
	"cmp"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// issuerNames finds the anchors whose names are like another name, for refusals: an operator
// has to see whether an intermediate certificate is missing, or the issuer is foreign. Its
// work for one refusal is bounded, whatever the name and however many anchors there are.
type issuerNames struct {
	names  []string // of the anchors, as quote prints them
	byWord map[string][]int
}

// Bounds of issuerNames.
const (
	maxNameWords   = 32 // of one name; further ones are ignored
	maxWordIssuers = 16 // anchors with one word; further ones are not found by it
	maxListed      = 3  // names in one text
)

func newIssuerNames(anchors []*x509.Certificate) *issuerNames {
	n := &issuerNames{byWord: map[string][]int{}}
	for _, a := range anchors {
		if a == nil || !a.IsCA {
			continue
		}
		at := len(n.names)
		n.names = append(n.names, quoteName(&a.Subject))
		for _, w := range wordsOf(&a.Subject) {
			if all := n.byWord[w]; len(all) < maxWordIssuers {
				n.byWord[w] = append(all, at)
			}
		}
	}
	return n
}

// like returns the anchors that share words with a name, those with the most first.
func (n *issuerNames) like(name *pkix.Name) []string {
	shared := map[int]int{}
	for _, w := range wordsOf(name) {
		for _, at := range n.byWord[w] {
			shared[at]++
		}
	}
	found := slices.SortedFunc(maps.Keys(shared), func(a, b int) int { return cmp.Or(shared[b]-shared[a], a-b) })
	var out []string
	for _, at := range found[:min(len(found), maxListed)] {
		out = append(out, n.names[at])
	}
	return out
}

// list returns the first anchors, and how many more there are.
func (n *issuerNames) list() string {
	if len(n.names) == 0 {
		return "none"
	}
	text := strings.Join(n.names[:min(len(n.names), maxListed)], ", ")
	if more := len(n.names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// wordsOf returns the words of a name that distinguish one organization from another, in lower case
// and each once.
func wordsOf(name *pkix.Name) []string {
	var out []string
	for i := range name.Names {
		value, ok := name.Names[i].Value.(string)
		if !ok || !namesOrganization(name.Names[i].Type.String()) {
			continue
		}
		if len(value) > maxValue {
			value = value[:maxValue]
		}
		for _, w := range strings.FieldsFunc(strings.ToLower(value), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }) {
			if len(out) == maxNameWords {
				return out
			}
			if len(w) > 1 && !commonWords[w] && strings.Trim(w, "0123456789") != "" && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// namesOrganization reports whether the values of an attribute are names of organizations:
// commonName, organizationName, organizationalUnitName, domainComponent.
func namesOrganization(oid string) bool {
	switch oid {
	case "2.5.4.3", "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.25":
		return true
	}
	return false
}

// commonWords occur in the names of authorities that have nothing else in common.
var commonWords = func() map[string]bool {
	all := map[string]bool{}
	for _, w := range strings.Fields("ca cas root sub issuing issuer intermediate client clients server servers user users device devices certificate certificates certification " +
		"authority trust trusted services service security global public private internal test prod production pki tls ssl rsa ecc ecdsa class level primary secondary network " +
		"g1 g2 g3 g4 g5 r1 r2 r3 r4 v1 v2 v3 inc ltd llc gmbh ag sa bv nv co corp corporation company limited group holding international the of and for com net org local") {
		all[w] = true
	}
	return all
}()

// foreignIssuer describes an issuer whose name no anchor and no presented certificate has. It
// distinguishes a missing intermediate certificate from a foreign authority as far as names can. last
// is the certificate of that issuer.
func (v *Verifier) foreignIssuer(presented []*x509.Certificate, last *x509.Certificate) string {
	text := "no anchor for issuer " + quoteName(&last.Issuer)
	selfSigned := string(last.RawSubject) == string(last.RawIssuer)
	switch {
	case selfSigned && last == presented[0]:
		text += ", the certificate itself: it is self-signed"
	case selfSigned:
		text += ", whose self-signed certificate was sent"
	default:
		text += fmt.Sprintf(", whose certificate was not sent (certificates sent: %d)", len(presented))
		if slices.ContainsFunc(v.authorities, func(a *authority) bool { return string(a.cert.RawSubject) == string(last.RawIssuer) }) {
			return text + "; crl_issuers has an authority of that name: the client must send its certificate too"
		}
	}
	like := v.issuerNames.like(&last.Issuer)
	switch {
	case len(like) == 0:
		return text + "; no known issuer has a similar name, known: " + v.issuerNames.list()
	case selfSigned:
		return text + "; known issuers with a similar name: " + strings.Join(like, ", ")
	}
	return text + "; known issuers with a similar name: " + strings.Join(like, ", ") + "; if one of them issued it, the client must send the intermediate certificate too"
}
