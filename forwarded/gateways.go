package forwarded

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Gateways says who may state certificates. With neither Pins nor Names it is
// nobody, which is a mistake.
type Gateways struct {
	// Pins are fingerprints of gateways' certificates: exactly these.
	Pins []trust.Digest
	// Names are DNS names or URIs, one of which a gateway's certificate has as a
	// subject alternative name. DNS names ignore ASCII case; nothing is a wildcard.
	Names []string
	// Trust judges the gateway's own certificate, pinned or not. Its anchors must be
	// others than those of the users, and neither may be issued under the other at any
	// depth, unless there are Pins alone: a user's certificate with the right name would
	// be a gateway. What New cannot see, for an authority between that it does not know,
	// is refused in each chain: a gateway whose chain passes the key of a users' anchor
	// is none, and a user whose chain passes the key of a gateways' anchor is not
	// trusted. Its Usage is ClientAuth where
	// gateways connect to us, and ServerAuth where we connect to them (package reverse).
	Trust *trust.Verifier
}

// gateways is compiled.
type gateways struct {
	trust *trust.Verifier
	users *trust.Verifier
	pins  map[trust.Digest]bool
	dns   map[string]bool // lower case
	uris  map[string]bool
}

func (g Gateways) compile(wrong *errorlist.List, users *trust.Verifier) *gateways {
	say := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	out := &gateways{trust: g.Trust, users: users, pins: map[trust.Digest]bool{}, dns: map[string]bool{}, uris: map[string]bool{}}
	if len(g.Pins)+len(g.Names) == 0 {
		say("no gateway is named: nobody could state a certificate", "the fingerprint of the gateway's certificate, or a DNS name or URI that it has")
	}
	for i, p := range g.Pins {
		if p.IsZero() {
			say(fmt.Sprintf("Gateways.Pins[%d] is empty", i), "openssl x509 -in FILE -noout -fingerprint -sha256")
		}
		out.pins[p] = true
	}
	for _, n := range g.Names {
		switch {
		case strings.Contains(n, ":"):
			if !isURI(n) {
				say(fmt.Sprintf("%q is neither a DNS name nor a URI", n), "as it stands in the certificate, such as spiffe://acme/gateway; no address and no port")
			}
			out.uris[n] = true
		case !isDNS(n):
			say(fmt.Sprintf("%q is neither a DNS name nor a URI", n), "a whole name such as gateway.acme.example; nothing is a wildcard")
		default:
			out.dns[strings.ToLower(n)] = true
		}
	}
	switch {
	case g.Trust == nil:
		say("Gateways.Trust is nil", "the anchors that issue the gateways' certificates")
	case users != nil && len(g.Names) > 0 && trustaccess.SharesAnchor(g.Trust, users):
		// A name under an authority that also issues for users is no proof: B16.
		say("gateways are named under an authority that also issues for users", "an authority for gateways alone, or the gateways' fingerprints in place of names")
	}
	return out
}

// has reports whether a certificate is a gateway's.
func (g *gateways) has(v trust.Verified) bool {
	if v.IsZero() || v.Generation() != g.trust.Generation() {
		return false // fail closed: judged by another trust, or by none
	}
	if g.pins[v.Fingerprint()] {
		return true
	}
	if !g.named() || trustaccess.IssuedUnderAnchor(v, g.users) {
		return false // by a users' authority anybody may get the right name
	}
	return slices.ContainsFunc(alternativeNames(v.Leaf()), func(n asn1.RawValue) bool {
		switch n.Tag {
		case tagDNS:
			return g.dns[strings.ToLower(string(n.Bytes))]
		case tagURI:
			return g.uris[string(n.Bytes)]
		}
		return false
	})
}

// named reports whether any gateway is known by a name. Then gateways and users are kept
// apart by their authorities.
func (g *gateways) named() bool { return len(g.dns)+len(g.uris) > 0 }

// Tags of GeneralName (RFC 5280 section 4.2.1.6).
const (
	tagDNS = 2
	tagURI = 6
)

// alternativeNames returns the names as they stand in the certificate: crypto/x509
// takes URIs apart, and two may look alike when they are put together again.
func alternativeNames(c *x509.Certificate) []asn1.RawValue {
	for _, e := range c.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err == nil && len(rest) == 0 {
			return slices.DeleteFunc(names, func(n asn1.RawValue) bool { return n.Class != asn1.ClassContextSpecific })
		}
	}
	return nil
}

func isURI(text string) bool {
	scheme, rest, ok := strings.Cut(text, "://")
	return ok && plain(scheme) && rest != "" && printable(text) && !strings.ContainsAny(text, " *")
}

// isDNS reports whether text is a whole DNS name. The last label of one is never a
// number, so an address is none.
func isDNS(text string) bool {
	labels := strings.Split(text, ".")
	for _, l := range labels {
		if !plain(l) || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(text) <= 253 && strings.Trim(last, "0123456789") != ""
}
