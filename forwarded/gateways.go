package forwarded

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Gateways lists the gateways that may forward certificates. At least one pin or name
// is required.
type Gateways struct {
	// Pins are the fingerprints of gateways' certificates.
	Pins []trust.Digest
	// Names are DNS names or URIs. A gateway's certificate must have one of them as a
	// subject alternative name. DNS names ignore ASCII case; there are no wildcards.
	Names []string
	// Trust verifies the gateway's own certificate, pinned or not. Its Usage is
	// UsageClient where gateways connect to this program, and UsageServer where this
	// program connects to them (package reverse).
	//
	// With Names, the authorities of gateways and users must be separate, at any depth:
	// otherwise a user with the right name in the certificate would be a gateway. New
	// refuses anchors that are shared, or that issue for one another as far as it knows
	// the authorities between them. The rest is refused per certificate: a certificate
	// whose chain contains the key of a users' anchor is not a gateway's, and one whose
	// chain contains the key of a gateways' anchor is not a user's.
	Trust *trust.Verifier
}

// gateways is the compiled form of Gateways.
type gateways struct {
	trust *trust.Verifier
	users *trust.Verifier
	pins  map[trust.Digest]bool
	dns   map[string]bool // lower case
	uris  map[string]bool
}

func (g Gateways) compile(wrong *errorlist.List, users *trust.Verifier) *gateways {
	report := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	out := &gateways{trust: g.Trust, users: users, pins: map[trust.Digest]bool{}, dns: map[string]bool{}, uris: map[string]bool{}}
	if len(g.Pins)+len(g.Names) == 0 {
		report("no gateway is named", "add the fingerprint of the gateway's certificate, or a DNS name or URI in it")
	}
	for i, p := range g.Pins {
		if p.IsZero() {
			report(fmt.Sprintf("Gateways.Pins[%d] is empty", i), "openssl x509 -in FILE -noout -fingerprint -sha256")
		}
		out.pins[p] = true
	}
	for _, n := range g.Names {
		if strings.Contains(n, ":") {
			if !isURI(n) {
				report(fmt.Sprintf("%q is neither a DNS name nor a URI", n), "write it as in the certificate, such as spiffe://acme/gateway; an address or a port is not a name")
			}
			out.uris[n] = true
			continue
		}
		if !isDNS(n) {
			report(fmt.Sprintf("%q is neither a DNS name nor a URI", n), "write a complete name such as gateway.acme.example; there are no wildcards")
			continue
		}
		out.dns[strings.ToLower(n)] = true
	}
	if g.Trust == nil {
		report("Gateways.Trust is nil", "a trust.Verifier with the anchors that issue the gateways' certificates")
	} else if users != nil && len(g.Names) > 0 && trustaccess.SharesAnchor(g.Trust, users) {
		// Any user of that authority could obtain a certificate with a gateway's name.
		report("gateways are named under an authority that also issues for users", "use an authority for gateways only, or the gateways' fingerprints in place of names")
	}
	return out
}

// isGateway reports whether a certificate is a gateway's.
func (g *gateways) isGateway(v trust.Verified) bool {
	if !trustaccess.IsFrom(g.trust, v) {
		return false // fail closed: verified by another verifier, or not at all
	}
	if g.pins[v.Fingerprint()] {
		return true
	}
	if !g.hasNames() || trustaccess.IssuedUnderAnchor(v, g.users) {
		return false // under a users' authority anyone may obtain the right name
	}
	return slices.ContainsFunc(san.Names(v.Leaf()), func(n san.Name) bool {
		return n.Tag == san.DNS && g.dns[strings.ToLower(n.Value)] || n.Tag == san.URI && g.uris[n.Value]
	})
}

// hasNames reports whether any gateway is identified by a name. If so, the authorities of
// gateways and users must be separate.
func (g *gateways) hasNames() bool { return len(g.dns)+len(g.uris) > 0 }

func isURI(text string) bool {
	scheme, rest, ok := strings.Cut(text, "://")
	return ok && isPlainName(scheme) && rest != "" && isHeaderValue(text) && !strings.ContainsAny(text, " *")
}

// isDNS reports whether text is a complete DNS name. The last label of a DNS name is
// never a number, so an IP address is not one.
func isDNS(text string) bool {
	labels := strings.Split(text, ".")
	for _, l := range labels {
		if !isPlainName(l) || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(text) <= 253 && strings.Trim(last, "0123456789") != ""
}
