package certmap

import (
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// facts is what a certificate says, as explanations print it.
type facts struct {
	fingerprint, spki trust.Digest
	serial            string
	uris, dns, emails []string
	name              Name
	nameErr           error
	nameText          string
	issuers           string
	anchors           []trust.Digest // keys of every CA of the chain
}

func factsOf(v trust.Verified) *facts {
	leaf := v.Leaf()
	f := &facts{fingerprint: v.Fingerprint(), spki: v.SPKI(), anchors: trustaccess.IssuerKeys(v)}
	if leaf.SerialNumber != nil {
		f.serial = strings.ToUpper(leaf.SerialNumber.Text(16))
	}
	for tag, list := range map[byte]*[]string{sanURI: &f.uris, sanDNS: &f.dns, sanEmail: &f.emails} {
		for name, rest, ok := nextName(generalNames(leaf), tag); ok; name, rest, ok = nextName(rest, tag) {
			*list = append(*list, string(name))
		}
	}
	if f.name, f.nameErr = SubjectOf(leaf); f.nameErr == nil {
		f.nameText = f.name.String()
	}
	f.issuers = "no issuer: the certificate is an anchor itself"
	if len(f.anchors) > 0 {
		texts := make([]string, len(f.anchors))
		for i, d := range f.anchors {
			texts[i] = d.String()
		}
		f.issuers = strings.Join(texts, ", ")
	}
	return f
}

// got is what the certificate has of a kind, escaped.
func (f *facts) got(k kind) string {
	switch k {
	case byFingerprint:
		return f.fingerprint.String()
	case bySPKI:
		return f.spki.String()
	case bySerial:
		return escape.Quote(f.serial, escape.Short)
	case byURI, byURIPattern:
		return several(f.uris)
	case byDNS:
		return several(f.dns)
	case byEmail:
		return several(f.emails)
	}
	if f.nameErr != nil {
		return "none"
	}
	return escape.Quote(f.nameText, escape.Short)
}

func several(texts []string) string {
	const most = 5
	switch n := len(texts); {
	case n == 0:
		return "none"
	case n > most:
		return quoteAll(texts[:most]) + fmt.Sprintf(" and %d more", n-most)
	}
	return quoteAll(texts)
}

// why says what keeps every mapping of a kind from matching, if anything does.
func (f *facts) why(k kind) string {
	switch k {
	case byURI, byURIPattern:
		if len(f.uris) > 1 {
			return errManyURIs.Error()
		}
	case bySubject, bySubjectPattern:
		if f.nameErr != nil {
			return f.nameErr.Error()
		}
	}
	return ""
}

// near says by how little a mapping misses, or nothing.
func (f *facts) near(e *entry) string {
	switch e.kind {
	case byFingerprint:
		return f.nearDigest(trust.Digest([]byte(e.key())), f.spki, "the SHA-256 of the certificate's public key: write it as spki")
	case bySPKI:
		return f.nearDigest(trust.Digest([]byte(e.key())), f.fingerprint, "the certificate's fingerprint: write it as fingerprint")
	case bySerial:
		if n, ok := new(big.Int).SetString(f.serial, 10); ok && n.Cmp(new(big.Int).SetBytes([]byte(e.key()))) == 0 {
			return "the same digits, but serial is read as hex"
		}
	case byURI:
		return nearAny(e.key(), f.uris, nearURI)
	case byURIPattern:
		return f.nearPattern(e)
	case byDNS:
		return nearAny(e.key(), f.dns, nearDNS)
	case byEmail:
		return nearAny(e.key(), f.emails, nearText)
	case bySubject, bySubjectPattern:
		return f.nearName(Name{e.key()}, e.kind == bySubjectPattern)
	}
	return ""
}

func (f *facts) nearDigest(wanted, swapped trust.Digest, what string) string {
	switch {
	case wanted == swapped:
		return "this is " + what
	case slices.Contains(f.anchors, wanted):
		return "this is the key of the certificate's issuer, not its own"
	}
	return ""
}

func nearAny(wanted string, got []string, near func(wanted, got string) string) string {
	for _, g := range got {
		if why := near(wanted, g); why != "" {
			return escape.Quote(g, escape.Short) + ": " + why
		}
	}
	return ""
}

// nearText compares without case and without blanks.
func nearText(wanted, got string) string {
	switch {
	case wanted == got:
		return ""
	case strings.EqualFold(wanted, got):
		return "differs in case"
	case strings.EqualFold(bare(wanted), bare(got)):
		return "differs in blanks or characters that do not show"
	}
	return ""
}

func nearURI(wanted, got string) string {
	switch {
	case wanted == got:
		return "it is this one, but " + errManyURIs.Error()
	case strings.TrimSuffix(wanted, "/") == strings.TrimSuffix(got, "/"):
		return "differs in the slash at the end"
	}
	return nearText(wanted, got)
}

func nearDNS(wanted, got string) string {
	if strings.EqualFold(wanted, strings.TrimSuffix(got, ".")) {
		return "differs in the dot at the end"
	}
	if below, ok := strings.CutPrefix(got, "*."); ok {
		if _, parent, _ := strings.Cut(wanted, "."); strings.EqualFold(parent, below) {
			return "a wildcard in a certificate never names a user"
		}
	}
	return nearText(wanted, got)
}

// nearPattern looks at a URI pattern whose text around the capture fits.
func (f *facts) nearPattern(e *entry) string {
	before, after, _ := strings.Cut(e.key(), captured)
	for _, uri := range f.uris {
		middle, ok := strings.CutPrefix(uri, before)
		if ok {
			middle, ok = strings.CutSuffix(middle, after)
		}
		switch {
		case ok && len(f.uris) > 1:
			return errManyURIs.Error()
		case ok && strings.Contains(middle, "/"):
			return escape.Quote(middle, escape.Short) + " is more than one segment"
		case ok:
			return escape.Quote(middle, escape.Short) + " cannot be a user name"
		case len(uri) >= len(before) && uri[:len(before)] != before && strings.EqualFold(uri[:len(before)], before):
			return escape.Quote(uri, escape.Short) + ": differs in case"
		}
	}
	return ""
}
