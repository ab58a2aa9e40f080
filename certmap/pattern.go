package certmap

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// place is where a pattern captures: an attribute type, or the index of a segment of a
// URI. A table counts its patterns by place. So a certificate is looked up once for each
// place and not once for each pattern.
type place struct {
	oid     string
	segment int
}

var (
	errOneAttribute  = errors.New("{user} must replace exactly one attribute value")
	errOneSegment    = errors.New("{user} must replace exactly one whole path segment")
	errCapturedTwice = errors.New("the attribute type that {user} captures occurs twice")
)

// compileSubject returns the kind and the key of a mapping's subject.
func compileSubject(text string) (kind, []byte, error) {
	name, err := dn.Parse(text)
	if err != nil {
		return noKind, nil, err
	}
	key := name.Key()
	variable := dn.Span{}
	found := 0
	for _, s := range dn.Spans(key) {
		switch value := key[s.Value:s.ValueEnd]; {
		case value == username.Variable:
			variable = s
			found++
		case strings.Contains(value, username.Variable):
			return noKind, nil, errOneAttribute // a part of a value would be a prefix or a suffix match
		case strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}"):
			return noKind, nil, unknownVariable(value)
		}
	}
	if found == 0 {
		return bySubject, []byte(key), nil
	}
	if found > 1 || !strings.Contains(text, username.Variable) { // with escapes, as in \7Buser}, it is not the variable
		return noKind, nil, errOneAttribute
	}
	oid := key[variable.OID:variable.OIDEnd]
	if !dn.HasOnce(key, oid) {
		return noKind, nil, errCapturedTwice
	}
	return bySubjectPattern, dn.AppendWithPlaceholder(nil, []byte(key), variable), nil
}

func unknownVariable(text string) error {
	return fmt.Errorf("%s: the only variable is {user}", escape.Quote(text, escape.Short))
}

// compileURI returns the kind and the key of a mapping's URI.
func compileURI(text string) (kind, []byte, error) {
	before, after, isPattern := strings.Cut(text, username.Variable)
	if !isPattern {
		if strings.ContainsAny(text, "{}") {
			return noKind, nil, unknownVariable(text)
		}
		return byURI, []byte(text), san.CheckURI(text)
	}
	if strings.Contains(after, username.Variable) {
		return noKind, nil, errOneSegment
	}
	if err := san.CheckURI(before + "user" + after); err != nil {
		return noKind, nil, err
	}
	_, rest, _ := strings.Cut(before, ":")
	inHost := strings.HasPrefix(rest, "//") && !strings.Contains(rest[2:], "/")
	if !strings.HasSuffix(before, "/") || after != "" && after[0] != '/' || inHost || strings.Contains(text, "?") {
		return noKind, nil, errOneSegment
	}
	return byURIPattern, []byte(before + dn.Placeholder + after), nil
}

// placeOf returns the place of a pattern by its key. Other kinds have none.
func placeOf(k kind, key string) place {
	switch {
	case !k.isPattern():
		return place{}
	case k == byURIPattern:
		before, _, _ := strings.Cut(key, dn.Placeholder)
		return place{segment: strings.Count(before, "/")}
	}
	for _, s := range dn.Spans(key) {
		if key[s.Value:s.ValueEnd] == dn.Placeholder {
			return place{oid: key[s.OID:s.OIDEnd]}
		}
	}
	return place{}
}

// capturable returns the segments of a certificate's URI that a pattern may capture: whole
// segments that are user names, with the index of each and its bounds. The rest of the URI
// needs no check: it is compared with the pattern byte for byte.
func capturable(uri []byte) iter.Seq2[int, [2]int] {
	return func(yield func(int, [2]int) bool) {
		if len(uri) > san.MaxURI {
			return
		}
		isSPIFFE := bytes.HasPrefix(uri, []byte(san.SPIFFE))
		for n, from := 0, 0; from <= len(uri); n++ {
			end := bytes.IndexByte(uri[from:], '/')
			if end < 0 {
				end = len(uri)
			} else {
				end += from
			}
			segment := uri[from:end]
			allowed := username.IsUser(segment) && !(isSPIFFE && bytes.IndexByte(segment, '@') >= 0) // no SPIFFE path has an @
			if allowed && !yield(n, [2]int{from, end}) {
				return
			}
			from = end + 1
		}
	}
}
