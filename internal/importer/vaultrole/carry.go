package vaultrole

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// carry writes the mappings and groups of all roles.
func (r *roles) carry() {
	taken := map[string]*role{}
	for _, one := range r.all {
		if other := taken[one.name]; other != nil {
			for _, each := range []*role{one, other} {
				each.refused = fmt.Sprintf("two roles are %q: one user would have the certificates and groups of both", one.name)
			}
		}
		taken[one.name] = one
		r.readCertificates(one)
	}
	users := map[string]bool{}
	for _, one := range r.all {
		if one.refused != "" {
			one.line.Skip(one.refused, "write the mapping by hand")
			continue
		}
		user, ok := one.line.User(one.name)
		switch {
		case !ok:
			continue
		case users[user]:
			one.line.Skip(fmt.Sprintf("another role is user %s already", user), "--rename with two names")
			continue
		}
		users[user] = true
		if r.carryRole(one, user) {
			r.carryPolicies(one, user)
		}
	}
}

// readCertificates reads the certificates of a role: authorities, or users.
func (r *roles) readCertificates(one *role) {
	all, err := importer.ParseCertificates(one.certificate)
	if err != nil {
		one.refused = "the certificate cannot be read: " + err.Error()
		return
	}
	if !all[0].IsCA { // the first one decides what the role is, and the others are its chain
		one.certificates = all[:1]
		return
	}
	for _, c := range all {
		if c.IsCA {
			one.authorities = append(one.authorities, r.AddAuthority("vault-"+one.name+"-ca", c))
		} else {
			one.line.Skip("a certificate of a user beside its authority", "a role of its own for the certificate")
		}
	}
}

// carryRole writes the mappings of a role, and returns false if there are none.
func (r *roles) carryRole(one *role, user string) (carried bool) {
	for _, c := range one.certificates {
		if one.meets(c) {
			carried = one.line.Map(r.Certificates.Add(one.line.File, c).Fingerprint(user)) || carried
		} else {
			one.line.Carry("its certificate does not meet its own constraints, and no user logs in with it")
		}
	}
	if len(one.authorities) == 0 {
		return carried
	}
	why := r.carryNames(one, user, &carried)
	if why == "" {
		return carried
	}
	found := false
	for _, c := range r.Certificates.All() {
		if one.meets(c.Cert) && r.IssuedUnder(c, one.authorities...) {
			found = one.line.Map(c.Fingerprint(user)) || found
		}
	}
	switch {
	case found:
		one.line.Change(why + ": the certificates of --certs are written, and the next one of a user needs a line of its own")
		return true
	case len(one.constraints) == 0:
		one.line.Skip(why, fmt.Sprintf("unmapped: %s on a port whose only anchors are its authorities; or --certs FOLDER with the certificates", user))
	case why == importer.FoldsHostWhy:
		one.line.Skip(why, importer.FoldsHostHint)
	default:
		one.line.Skip(why, "--certs FOLDER with the certificates")
	}
	return carried
}

// carryNames writes the mappings of a role whose only constraint is a list that mappings can express.
// Otherwise it returns why that is not so.
func (r *roles) carryNames(one *role, user string, carried *bool) (why string) {
	switch {
	case len(one.constraints) == 0:
		return "every certificate of its authority may log in"
	case len(one.constraints) > 1:
		return "it has several lists, of which each must match"
	}
	list := one.constraints[0]
	kind := kinds[list.key]
	if kind == "" {
		return "no mapping has " + list.key
	}
	for _, pattern := range list.patterns {
		base, isPattern := strings.CutSuffix(pattern, "/*")
		if strings.Contains(base, "*") || isPattern && (kind != "uri" || strings.HasSuffix(base, "/")) {
			why = fmt.Sprintf("the * in %q stands for any text", pattern)
			continue
		}
		if m := (importer.Mapping{Kind: kind, Value: pattern}); m.FoldsHost() && !r.options.SameCase {
			why = importer.FoldsHostWhy
			continue
		}
		for _, issuer := range one.authorities {
			m := importer.Mapping{User: user, Kind: kind, Value: pattern, Issuer: issuer}
			if isPattern {
				m.Value, m.Pattern = base+"/"+username.Variable, true
				one.line.Change(fmt.Sprintf("the * in %q is one segment here, of the characters A-Z a-z 0-9 . _ @ -, and not any text", pattern))
			}
			*carried = one.line.Map(m) || *carried
		}
	}
	if kind == "uri" {
		r.Remark("a certificate with several URIs is not mapped by one of them here")
	}
	return why
}

// carryPolicies writes the groups of a role.
func (r *roles) carryPolicies(one *role, user string) {
	if !r.options.Groups {
		if len(one.policies) > 0 {
			r.Remark("policies of tokens are not carried; --groups makes each a group of its user. Their content is not carried: it allows paths of the secrets store")
		}
		return
	}
	for _, policy := range one.policies {
		if group, ok := one.line.Group(policy); ok {
			one.line.Member("user:"+user, "group:"+group)
		}
	}
}
