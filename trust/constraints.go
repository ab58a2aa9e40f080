package trust

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/reason"
)

var (
	oidConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidEmailAddress = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// appliedNames are the tags of the names (RFC 5280 section 4.2.1.6) whose constraints
// crypto/x509 applies: email, DNS, URI, IP.
var appliedNames = []int{1, 2, 6, 7}

// constraintWarnings describes constraints of an anchor that do not have the expected effect:
// an unknown critical one makes Verify refuse every certificate, and one that is not
// critical has no effect.
func constraintWarnings(a *x509.Certificate) []string {
	whose := quoteName(&a.Subject)
	if len(a.UnhandledCriticalExtensions) > 0 {
		return []string{"anchor " + whose + " has an unknown critical extension or constraint: every certificate under it is refused"}
	}
	for _, e := range a.Extensions {
		if e.Id.Equal(oidConstraints) && !allApplied(e.Value) {
			return []string{"anchor " + whose + " has a name constraint of a type that is not applied (such as directory names): use issuer in mappings instead"}
		}
	}
	return nil
}

// allApplied reports whether every subtree of a NameConstraints (RFC 5280 section 4.2.1.10)
// has a type that is applied. It is false for a value that cannot be parsed.
func allApplied(der []byte) bool {
	var lists []asn1.RawValue // permitted [0], excluded [1]
	if rest, err := asn1.Unmarshal(der, &lists); err != nil || len(rest) > 0 {
		return false
	}
	for _, list := range lists {
		for rest := list.Bytes; len(rest) > 0; {
			var subtree, base asn1.RawValue
			var err error
			if rest, err = asn1.Unmarshal(rest, &subtree); err != nil {
				return false
			}
			if _, err = asn1.Unmarshal(subtree.Bytes, &base); err != nil || !slices.Contains(appliedNames, base.Tag) {
				return false
			}
		}
	}
	return true
}

// checkConstraints applies the name constraints of a chain to the email addresses and URIs
// below them, by RFC 5280 section 4.2.1.10. crypto/x509 has applied them too, but less
// strictly: it applies a constraint for a host to the whole domain, and it ignores email
// addresses in subjects.
func checkConstraints(chain []*x509.Certificate) error {
	for i, authority := range chain[1:] {
		if !hasPlainSubtrees(authority) {
			return reason.Refuse(reason.BadCertificate, quoteName(&authority.Subject)+" has a name constraint with a minimum or a maximum")
		}
		email := subtrees{authority.PermittedEmailAddresses, authority.ExcludedEmailAddresses}
		uri := subtrees{authority.PermittedURIDomains, authority.ExcludedURIDomains}
		for _, c := range chain[:i+1] {
			for _, address := range emailAddresses(c) {
				if email.isConstrained() && !isEmailAddress(address) || !email.permits(func(constraint string) bool { return matchesMailbox(constraint, address) }) {
					return refuseName(authority, "the email address", address)
				}
			}
			if !uri.isConstrained() {
				continue
			}
			for _, u := range c.URIs {
				host := u.Hostname()
				_, notIP := netip.ParseAddr(host)
				if !isHost(host) || notIP == nil || u.User != nil { // RFC 5280 refuses these under any constraint
					return refuseName(authority, "a URI without a host name,", u.String())
				}
				if !uri.permits(func(constraint string) bool { return matchesHost(constraint, host) }) {
					return refuseName(authority, "the URI", u.String())
				}
			}
		}
	}
	return nil
}

func refuseName(authority *x509.Certificate, what, name string) error {
	return reason.Refuse(reason.BadCertificate, "the name constraints of "+quoteName(&authority.Subject)+" do not allow "+what+" "+quote(name))
}

// subtrees are the constraints for one type of name.
type subtrees struct{ permitted, excluded []string }

func (s subtrees) isConstrained() bool { return len(s.permitted)+len(s.excluded) > 0 }

func (s subtrees) permits(in func(constraint string) bool) bool {
	// Fail closed: an empty constraint permits nothing and excludes everything.
	if slices.ContainsFunc(s.excluded, func(c string) bool { return c == "" || in(c) }) {
		return false
	}
	return len(s.permitted) == 0 || slices.ContainsFunc(s.permitted, in)
}

// matchesHost reports whether a host is within a constraint: without a leading dot, only that
// host; with a leading dot, every host below the domain, but not the domain itself.
func matchesHost(constraint, host string) bool {
	constraint, host = strings.ToLower(constraint), strings.ToLower(host)
	if strings.HasPrefix(constraint, ".") {
		return len(host) > len(constraint) && strings.HasSuffix(host, constraint)
	}
	return constraint != "" && constraint == host
}

// matchesMailbox reports whether an email address is within a constraint. A constraint with
// an @ is one mailbox; any other is matched with the host, as for a URI.
func matchesMailbox(constraint, address string) bool {
	at := strings.LastIndexByte(address, '@')
	if i := strings.LastIndexByte(constraint, '@'); i >= 0 {
		return constraint[:i] == address[:at] && strings.EqualFold(constraint[i+1:], address[at+1:])
	}
	return matchesHost(constraint, address[at+1:])
}

func isEmailAddress(text string) bool {
	at := strings.LastIndexByte(text, '@')
	return at > 0 && isHost(text[at+1:])
}

// isHost reports whether text consists of labels of letters, digits, - and _.
func isHost(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// emailAddresses returns the email addresses of a certificate, including those in its subject.
func emailAddresses(c *x509.Certificate) []string {
	out := slices.Clone(c.EmailAddresses)
	for _, a := range c.Subject.Names {
		if a.Type.Equal(oidEmailAddress) {
			text, _ := a.Value.(string) // a value of another type becomes "", which no constraint permits
			out = append(out, text)
		}
	}
	return out
}

// hasPlainSubtrees reports whether no name constraint of c has a minimum or a maximum. RFC
// 5280 does not use them, and crypto/x509 ignores them.
func hasPlainSubtrees(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidConstraints) {
			continue
		}
		in := cryptobyte.String(e.Value)
		var all cryptobyte.String
		if !in.ReadASN1(&all, der.SEQUENCE) || !in.Empty() {
			return false
		}
		for !all.Empty() {
			var list cryptobyte.String
			var tag der.Tag
			if !all.ReadAnyASN1(&list, &tag) {
				return false
			}
			for !list.Empty() {
				var subtree, base cryptobyte.String
				if !list.ReadASN1(&subtree, der.SEQUENCE) || !subtree.ReadAnyASN1(&base, &tag) || !subtree.Empty() {
					return false
				}
			}
		}
	}
	return true
}
