package regex

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// everyNameCharacter are the characters of user names.
const everyNameCharacter = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-"

// Subject returns the subject of a mapping that names no other certificate than the pattern does,
// such as CN={user},O=Acme, and the number of the capture in place of {user}, 0 for none. parse
// reads the subjects in which the pattern searches. If there is no such mapping, Subject returns
// why.
func (p *Pattern) Subject(parse func(string) (dn.Name, error)) (subject string, capture int, why string) {
	switch {
	case !p.AtStart && !p.AtEnd:
		return "", 0, "it is not anchored"
	case !p.AtStart:
		return "", 0, "its beginning is not anchored"
	case !p.AtEnd:
		return "", 0, "its end is not anchored"
	}
	const placeholder = "mtlsguard.placeholder"
	text, sets := "", 0
	for _, one := range p.Pieces {
		if one.Set == "" {
			text += one.Literal
			continue
		}
		text += placeholder
		capture = one.Capture
		if sets++; sets > 1 {
			return "", 0, "it leaves more than one value open"
		}
		if one.Repeat == "" || !acceptsEvery(one.Set) {
			return "", 0, "it accepts fewer names than a pattern here"
		}
	}
	name, err := parse(text)
	if err != nil {
		return "", 0, err.Error()
	}
	var parts []string
	open := 0
	for _, set := range name.RDNs() {
		part := set[0].String()
		if set[0].Value == placeholder {
			open++
			part = strings.TrimSuffix(part, placeholder) + username.Variable
		} else if strings.ContainsAny(set[0].Value, "{}") || strings.Contains(set[0].Value, placeholder) {
			return "", 0, "the open part is not the whole value of one attribute"
		}
		parts = append(parts, part)
	}
	if open != sets || sets != 1 {
		return "", 0, "the open part is not the whole value of one attribute"
	}
	return strings.Join(parts, ","), capture, ""
}

// acceptsEvery reports whether a set has all characters of user names. A pattern here accepts them
// all, and would be wider otherwise.
func acceptsEvery(set string) bool {
	p, err := Parse("^"+set+"$", false)
	if err != nil {
		return false
	}
	for i := range len(everyNameCharacter) {
		if !p.Match.MatchString(everyNameCharacter[i : i+1]) {
			return false
		}
	}
	return true
}
