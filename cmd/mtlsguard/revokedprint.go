package main

import (
	"cmp"
	"fmt"
)

// headline returns the first line of the output.
func (r *revokedReport) headline() string {
	counts := map[string]int{}
	for _, p := range r.Ports {
		counts[p.Result]++
	}
	what := "serial " + r.Cert.Serial + " of " + r.Cert.Issuer
	if r.Cert.Subject != "" {
		what = r.Cert.Subject + ", " + what
	}
	switch trusting := counts[isRevoked] + counts[isNotRevoked]; {
	case trusting == 0:
		return "no port trusts it: " + what
	case r.Revoked:
		return "revoked on every port that trusts its issuer: " + what
	case counts[isRevoked] == 0:
		return "NOT revoked on any port: " + what
	default:
		return fmt.Sprintf("NOT revoked on %d of %d ports that trust its issuer: %s", counts[isNotRevoked], trusting, what)
	}
}

func (r *revokedReport) print(a *app) {
	a.printf("%s\n", r.headline())
	for _, p := range r.Ports {
		a.printf("\nport %s, %s", p.Port, p.At)
		if p.Verifies != "" && p.Verifies != "connections" {
			a.printf(", %s", p.Verifies)
		}
		a.printf("\n  %s\n", printable(p.describe()))
		for _, l := range p.Lists {
			a.printf("  %s\n", printable(l.describe()))
			signer := "signed by no authority that the port knows"
			if l.Signer != "" {
				signer = "signed by " + l.Signer
			}
			if l.OtherKey {
				signer += " with another key than the issuer's: --cert FILE shows whether the port counts it"
			}
			a.printf("    number %s, %s to %s, %s\n", cmp.Or(l.Number, "none"), l.ThisUpdate, l.NextUpdate, signer)
		}
		if o := p.OCSP; o != nil {
			text := "OCSP " + o.URL + ": " + o.Status
			if o.Until != "" {
				text += " until " + o.Until
			}
			if o.Error != "" {
				text += ", " + o.Error
			}
			a.printf("  %s\n", printable(text))
		}
	}
	if len(r.Hints) > 0 {
		a.printf("\n")
		for _, h := range r.Hints {
			h.print(a)
		}
	}
}

// describe returns the result of a port in one line.
func (p *portRevocation) describe() string {
	switch p.Result {
	case isNotAsked:
		return "requests no certificate"
	case isRevoked:
		if p.Reason != "" {
			return "revoked, and refused before as " + string(p.Reason)
		}
		return "revoked: the port refuses it"
	case isRefused:
		text := "refused for another reason, " + string(p.Reason) + ": " + p.Detail
		if p.Reason == "" {
			text = "refused: " + p.Detail
		}
		return text
	}
	switch {
	case p.Mode == "off":
		return "NOT revoked: the port looks nothing up (revocation: off)"
	case !p.LooksUp:
		return "NOT revoked: the port looks nothing up for this issuer (revocation: " + p.Mode + ")"
	}
	return "NOT revoked: the port accepts it (revocation: " + p.Mode + ")"
}

// describe returns what a list shows in one line.
func (l *crlProof) describe() string {
	text := l.File + " does not list it"
	if l.Of != "" {
		text = l.File + " does not list the intermediate " + l.Of
	}
	if l.Listed {
		text = l.File + " lists it"
		if l.Of != "" {
			text = l.File + " lists the intermediate " + l.Of
		}
		if l.Since != "" {
			text += " since " + l.Since
		}
		if l.Why != "" {
			text += ", " + l.Why
		}
	}
	if l.Ended {
		text += "; the list is past its next update"
	}
	if l.Replaced {
		text += "; a newer list replaces this one"
	}
	return text
}
