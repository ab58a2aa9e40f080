package certmap

import (
	"math/big"
	"slices"
	"strings"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/trust"
)

// nearMiss returns the small difference between a mapping and the certificate, or "".
func (c *certificate) nearMiss(e *entry) string {
	switch e.kind {
	case byFingerprint:
		return c.nearDigest(trust.Digest([]byte(e.key())), c.spki, "this is the SHA-256 of the certificate's public key: write it as spki")
	case bySPKI:
		return c.nearDigest(trust.Digest([]byte(e.key())), c.fingerprint, "this is the certificate's fingerprint: write it as fingerprint")
	case bySerial:
		if n, ok := new(big.Int).SetString(c.serial, 10); ok && n.Cmp(new(big.Int).SetBytes([]byte(e.key()))) == 0 {
			return "the same digits, but serial is read as hex"
		}
	case byURI:
		return nearAny(e.key(), c.uris, nearURI)
	case byURIPattern:
		return c.nearURIPattern(e)
	case byDNS:
		return nearAny(e.key(), c.dns, nearDNS)
	case byEmail:
		return nearAny(e.key(), c.emails, nearText)
	case bySubject:
		return c.nearSubject(dn.FromKey(e.key()))
	case bySubjectPattern:
		return c.nearSubjectPattern(dn.FromKey(e.key()))
	}
	return ""
}

// nearDigest compares a digest with the one of the other kind, and with the issuers' keys.
func (c *certificate) nearDigest(wanted, otherKind trust.Digest, ifOtherKind string) string {
	switch {
	case wanted == otherKind:
		return ifOtherKind
	case slices.Contains(c.issuerKeys, wanted):
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

// nearText compares without regard to case, and then also without blanks.
func nearText(wanted, got string) string {
	switch {
	case wanted == got:
		return ""
	case strings.EqualFold(wanted, got):
		return "differs in case"
	case strings.EqualFold(stripBlanks(wanted), stripBlanks(got)):
		return "differs in blanks or characters that do not show"
	}
	return ""
}

// stripBlanks returns text without blanks and without characters that do not show.
func stripBlanks(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

func nearURI(wanted, got string) string {
	switch {
	case wanted == got:
		return "it is this one, but " + san.ErrManyURIs.Error()
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

// nearURIPattern finds a URI that begins and ends as a pattern does.
func (c *certificate) nearURIPattern(e *entry) string {
	before, after, _ := strings.Cut(e.key(), dn.Placeholder)
	for _, uri := range c.uris {
		middle, ok := strings.CutPrefix(uri, before)
		if ok {
			middle, ok = strings.CutSuffix(middle, after)
		}
		switch {
		case ok && len(c.uris) > 1:
			return san.ErrManyURIs.Error()
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
