package kongyaml

import (
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// name is a text that makes a certificate a consumer's.
type name struct {
	*consumer
	text string
	own  string                // username or custom_id; "": the text is of a credential
	only *importer.Authority   // of a credential with an authority
	lost bool                  // its authority is not known
	all  []*importer.Authority // under which the text counts here
	line *importer.Line
}

// carryNames writes the mappings. Kong finds a consumer by the credentials first, those with an
// authority before the others, and then by the consumers' own names.
func (i *importing) carryNames() {
	i.names = map[string][]*name{}
	var all []*name
	add := func(n *name) {
		i.names[n.text] = append(i.names[n.text], n)
		all = append(all, n)
	}
	for _, one := range i.consumers {
		for _, c := range one.credentials {
			n := &name{consumer: one, text: c.subject, line: i.Line(c.at, fmt.Sprintf("subject name %s of consumer %s", c.subject, one.name()))}
			if c.issuer != "" {
				if n.only = i.authority(c.issuer); n.only == nil {
					n.line.Skip("its authority is not in the files", "add it to ca_certificates")
				}
				n.lost = n.only == nil
			}
			add(n)
		}
	}
	for _, one := range i.consumers {
		for _, own := range [][2]string{{"username", one.username}, {"custom_id", one.customID}} {
			if own[1] != "" && slices.ContainsFunc(i.routes, func(r *route) bool { return r.mtls != nil && slices.Contains(r.mtls.by, own[0]) }) {
				add(&name{consumer: one, text: own[1], own: own[0], line: one.line})
			}
		}
	}
	for _, n := range all {
		if n.user == "" {
			n.line.Skip("its consumer is not carried", "")
		} else if !n.lost && i.findAuthorities(n) {
			i.carryName(n)
		}
	}
	for _, one := range i.consumers {
		for _, text := range one.unfound {
			if one.mapped {
				one.line.Change(text)
			} else {
				one.line.Skip(text, "--certs FOLDER with the certificate")
			}
		}
	}
	i.SourceUser = i.sourceUser
}

// findAuthorities sets under which authorities a name counts on every route that lets its consumer
// in. Under another one it would count here on all of them. It reports a name without any.
func (i *importing) findAuthorities(n *name) bool {
	same := i.names[n.text]
	if n.own != "" && slices.ContainsFunc(same, func(o *name) bool { return o.own == "" }) {
		n.line.Carry(fmt.Sprintf("a credential decides about the name %s", n.text))
		return false
	}
	routes := i.routesOf(n.consumer)
	for at, r := range routes {
		trusted := i.trusted(r.mtls)
		switch {
		case n.own != "" && !slices.Contains(r.mtls.by, n.own):
			n.line.Skip(fmt.Sprintf("%s does not find a consumer by the %s, and rules here would let it in all the same", r, n.own), "a credential for the consumer, in the source")
			return false
		case at == 0:
			n.all = trusted
		default:
			n.all = intersect(n.all, trusted)
		}
	}
	if len(routes) == 0 {
		if n.all = i.issuers; len(i.authorities) > 0 {
			n.all = i.everyAuthority()
		}
	}
	if n.only != nil {
		n.all = intersect([]*importer.Authority{n.only}, n.all)
		if i.isBelowAnother(n.only) {
			n.all = nil
		}
	} else {
		n.all = slices.DeleteFunc(slices.Clone(n.all), func(a *importer.Authority) bool {
			return slices.ContainsFunc(same, func(o *name) bool { return o.only == a })
		})
	}
	switch {
	case len(n.all) > 0 && slices.ContainsFunc(same, func(o *name) bool { return o.lost }):
		n.line.Skip("another credential has the name, under an authority that is not in the files", "add it to ca_certificates")
		return false
	case len(n.all) > 0:
		return true
	case n.only != nil && i.isBelowAnother(n.only):
		n.line.Skip("another authority of the files issued its authority, and Kong takes the last one of a chain", "a credential with that authority, in the source")
	case !i.HasAuthorities():
		n.line.Skip("no authority is known", "--issuer FILE with the certificate of the authority")
	default:
		n.line.Skip("no authority of the files is trusted by all routes that let the consumer in", "the same ca_certificates for all of them, in the source")
	}
	return false
}

// routesOf returns the carried routes that let a consumer in. Consumers of the same groups have
// the same.
func (i *importing) routesOf(one *consumer) []*route {
	key := one.class()
	if known, ok := i.ofClass[key]; ok {
		return known
	}
	var out []*route
	for _, e := range i.elements {
		if e.carried && e.lets(one) && !slices.Contains(out, e.route) {
			out = append(out, e.route)
		}
	}
	i.ofClass[key] = out
	return out
}

func intersect(a, b []*importer.Authority) (out []*importer.Authority) {
	for _, one := range a {
		if slices.Contains(b, one) {
			out = append(out, one)
		}
	}
	return out
}
