package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
)

// addHints adds what makes the other ports refuse the certificate.
func (r *revokedReport) addHints(a *app, g *site.Generation, config *configFile, s suspect) {
	h := &hinter{explainResult: &explainResult{config: config}}
	file := "ISSUER.crl"
	for _, p := range r.Ports {
		for _, l := range p.Lists {
			if l.Listed && l.Signer != "" && l.Of == "" {
				file = yamlText(useredit.RelativeTo(config.path, l.File))
			}
		}
	}
	published := false
	for _, p := range r.Ports {
		if p.Result != isNotRevoked {
			continue
		}
		port := config.port(p.Port)
		if p.Verifies == "forwarded certificates" {
			port = port.forUsers()
		}
		switch {
		case !p.LooksUp && p.Mode == "off" && valueOf(&port.Trust, "revocation") != nil && valueOf(&port.Trust, "crls") != nil:
			h.addSet("port "+p.Port+" has CRLs and does not look them up", &port.Trust, "revocation", "hard")
		case !p.LooksUp && !port.Trust.IsZero():
			text := "port " + p.Port + " looks up no CRL of the issuer"
			if others := s.otherAnchors(port.readAnchors()); len(others) > 0 {
				text += "; add the CRLs of its other anchors too, or their certificates are refused as revocation-unknown: " + strings.Join(others, "; ")
			}
			h.addExtend(text, &port.Trust, "crls", file)
		case !published:
			published = true
			h.add(hint{Text: "no list that the ports look up has the certificate: revoke it at the CA, and put the CA's newest CRL into the file; fetch does this by itself"})
		}
	}
	if slices.ContainsFunc(r.Ports, func(p portRevocation) bool { return p.Result == isNotRevoked }) && s.chain != nil {
		h.addBan(a.ctx, g, s.chain)
	}
	r.Hints = append(r.Hints, h.list...)
}

// otherAnchors returns the names of the anchors that did not issue the certificate.
func (s *suspect) otherAnchors(anchors []*x509.Certificate) []string {
	below := s.chain
	if s.issuer != nil {
		below = []*x509.Certificate{s.issuer}
	}
	var out []string
	for _, a := range anchors {
		above := func(c *x509.Certificate) bool { return c.CheckSignatureFrom(a) == nil }
		if !(s.issuer != nil && a.Equal(s.issuer)) && !slices.ContainsFunc(below, above) {
			out = append(out, printable(a.Subject.String()))
		}
	}
	return out
}

// addBan adds the change that refuses the certificate at once, without its CA.
func (h *hinter) addBan(ctx context.Context, g *site.Generation, chain []*x509.Certificate) {
	const text = "to refuse it at once, on every port and without the CA"
	effect := useredit.EffectIn(ctx, g, chain)
	for _, m := range g.Table.Mappings() {
		at := slices.IndexFunc(effect.Matches, func(s certmap.Step) bool { return s.MappingID == m.ID })
		if at < 0 || m.Disabled {
			continue
		}
		switch s := effect.Matches[at]; {
		case strings.Contains(cmp.Or(m.Subject, m.URI), username.Variable): // disabling a pattern would refuse others too
			h.add(hint{Text: text + ", deny its user everything", File: h.config.policy, Write: strings.Join([]string{"p", "user:" + s.User, "*", "*", "/*", policy.Deny}, ", ")})
		default:
			h.add(hint{Text: text + ", disable its mapping", File: s.File, Line: s.Line, Command: h.usersCommand("disable", "--id "+shellQuote(s.MappingID))})
		}
	}
}
