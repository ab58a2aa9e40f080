package nginxconf

import (
	"errors"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// carryUsers carries the map that names the user, line by line.
func (t *translation) carryUsers(r *role) {
	for _, e := range r.block.exact {
		t.carryExact(r, e)
	}
	t.carryPatterns(r)
}

// carryExact carries an exact key. If it is not carried, a mapping refuses its certificate: a
// pattern could name it otherwise.
func (t *translation) carryExact(r *role, e *entry) {
	l := t.in.Line(e.place, e.text(r.block))
	user := t.userOf(r, e.value)
	name, ok := "", user != ""
	switch {
	case user == "":
		l.Carry("nobody")
	case !isLiteral(user):
		l.Skip("the value has a variable", "write the user's name")
		ok = false
	default:
		name, ok = l.User(user)
	}
	mappings, dead, why, hint := t.exactMappings(r, e, name)
	switch {
	case dead != "" && ok:
		l.Skip(dead, "correct the key, or remove the line")
	case dead != "":
	case why != "" && ok:
		l.Skip(why, hint)
	case why != "" && r.source.kind == "subject" && len(r.block.patterns) > 0:
		l.Limit("the line comes before the patterns, and "+why, hint)
	case !ok && r.source.kind == "subject":
		t.refuse(l, mappings)
	case ok:
		for _, m := range mappings {
			if t.isDenied(m) {
				l.Carry("another map refuses the certificate")
				continue
			}
			l.Map(m)
		}
	}
}

// exactMappings returns the mappings of an exact key. dead is why the key matches no certificate
// in nginx, why is why it is not carried.
func (t *translation) exactMappings(r *role, e *entry, user string) (out []importer.Mapping, dead, why, hint string) {
	known := t.certificates(r)[importer.FoldASCII(e.key)]
	if r.source.kind == "fingerprint" {
		switch {
		case len(known) > 0:
			m := known[0].Fingerprint(user)
			m.Note = "SHA-1 " + importer.FoldASCII(e.key) + ", " + m.Note
			return []importer.Mapping{m}, "", "", ""
		case len(e.key) != 40 || strings.Trim(e.key, "0123456789abcdefABCDEF") != "":
			return nil, "it is no SHA-1 in hex without colons, and matches no certificate there", "", ""
		}
		return nil, "", "a SHA-1 does not name a certificate safely, and no certificate of --certs has it", "--certs FOLDER with the certificate"
	}
	add := func(value string, leaf *importer.Certificate) {
		issuer, whyNot, hintNot := t.in.FindIssuer(leaf)
		if issuer == nil {
			why, hint = whyNot, hintNot
			return
		}
		m := importer.Mapping{User: user, Kind: r.source.kind, Value: value, Issuer: issuer}
		for _, other := range out {
			if other.Same(m) {
				return
			}
		}
		out = append(out, m)
	}
	if r.source.kind == "serial" {
		if len(e.key)%2 == 1 || strings.Trim(e.key, "0123456789abcdefABCDEF") != "" {
			return nil, "it is no serial number in hex with an even number of digits, and matches no certificate there", "", ""
		}
		for _, c := range known {
			add(c.Serial(), c)
		}
		if len(known) == 0 {
			add(strings.ToUpper(e.key), nil)
		}
		return out, "", why, hint
	}
	for _, c := range known {
		if name, err := dn.FromDER(c.Cert.RawSubject); err == nil {
			add(name.String(), c)
		}
	}
	name, err := t.parse(r, e.key)
	switch {
	case err == nil && len(known) == 0:
		add(name.String(), nil)
	case err == nil:
		add(name.String(), known[0])
	case len(known) == 0 && errors.Is(err, importer.ErrNotOpenSSL):
		return nil, err.Error(), "", ""
	case len(known) == 0:
		return nil, "", err.Error(), "--certs FOLDER with the certificate"
	}
	return out, "", why, hint
}

// parse reads a subject as the variable of a map writes it.
func (t *translation) parse(r *role, text string) (dn.Name, error) {
	if strings.HasSuffix(r.block.source, "_legacy") {
		return importer.ParseSlash(text, false)
	}
	return importer.ParseOpenSSL(text)
}

// certificates returns the certificates at hand that nginx accepts, by the value of a map's variable, in lower case.
func (t *translation) certificates(r *role) map[string][]*importer.Certificate {
	known, ok := t.atHand[r.block.source]
	if !ok {
		known = map[string][]*importer.Certificate{}
		for _, c := range t.in.Certificates.All() {
			if text, ok := r.source.text(c); ok && t.in.IssuedUnder(c) {
				known[importer.FoldASCII(text)] = append(known[importer.FoldASCII(text)], c)
			}
		}
		t.atHand[r.block.source] = known
	}
	return known
}
