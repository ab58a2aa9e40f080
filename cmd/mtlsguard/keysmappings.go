package main

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// proposedMapping is an element of the JSON of keys import --mappings.
type proposedMapping struct {
	Alias string `json:"alias"`
	User  string `json:"user,omitempty"`
	Line  string `json:"line,omitempty"` // as users.yaml writes it
	Why   string `json:"why,omitempty"`  // why there is no mapping
}

// printMappings prints a users.yaml that loads. A certificate without a mapping becomes a
// comment.
func (c *keysImportCmd) printMappings(a *app, entries []certfile.Entry) error {
	if useredit.NeedsIssuer(c.By) && c.Issuer == "" {
		return usageError("--by "+c.By+" needs an issuer: otherwise every trusted authority could issue certificates for these users", "--issuer FILE")
	}
	out := []proposedMapping{}
	var known []certmap.Mapping
	seen := map[trust.Digest]bool{}
	for _, e := range entries {
		for i, leaf := range e.Chain {
			if (e.Key != nil || e.Locked != nil) && i > 0 || seen[trust.FingerprintOf(leaf)] {
				continue // only the leaf of a chain identifies a user
			}
			seen[trust.FingerprintOf(leaf)] = true
			p := c.proposeMapping(e.Alias, leaf, known)
			if p.Why == "" {
				known = append(known, certmap.Mapping{ID: useredit.UnusedID(p.User, known)})
			}
			out = append(out, p)
		}
	}
	if a.json {
		return a.printJSON(out)
	}
	head := "mappings: []"
	if len(known) > 0 {
		head = "mappings:"
	}
	a.printf("%s\n", head)
	for _, p := range out {
		if p.Why != "" {
			a.printf("  # %s: %s\n", escape.Printable(p.Alias, 0), escape.Printable(p.Why, 0))
		} else {
			a.printf("  %s\n", escape.Printable(p.Line, 0))
		}
	}
	return nil
}

// proposeMapping returns the mapping of a leaf, or the reason why there is none.
func (c *keysImportCmd) proposeMapping(alias string, leaf *x509.Certificate, known []certmap.Mapping) proposedMapping {
	p := proposedMapping{Alias: alias}
	if leaf.IsCA {
		p.Why = "the certificate of an authority: " + formatSubject(leaf)
		return p
	}
	if p.User = report.UserFromCommonName(leaf); c.UserFrom == "alias" {
		p.User = alias
	}
	all, why := useredit.KindValues(leaf, c.By)
	switch {
	case !username.IsUser(p.User):
		p.User, p.Why = "", "the certificate has no user name: "+formatSubject(leaf)
	case why != "":
		p.Why = why
	case len(all) != 1:
		p.Why = plural(len(all), c.By, c.By+" values")
	default:
		if p.Why = useredit.CheckMappable(c.By, all[0]); p.Why != "" {
			break
		}
		issuer := ""
		if useredit.NeedsIssuer(c.By) {
			issuer = c.Issuer
		}
		p.Line = usersfile.Format("users.yaml", useredit.Fields(useredit.UnusedID(p.User, known), p.User, c.By, all[0], issuer))
	}
	return p
}
