package certmap

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// place is where a pattern captures: an attribute type, or the number of a segment
// of a URI. A table knows the places that its patterns use, so that a certificate
// is looked up once for each of those and not once for each pattern.
type place struct {
	oid     string
	segment int
}

var (
	errOnePattern = errors.New("{user} stands in place of exactly one attribute value")
	errOneSegment = errors.New("{user} stands in place of exactly one whole path segment")
	errTwice      = errors.New("the attribute type that {user} captures occurs twice")
)

// compileSubject returns a mapping's subject as a key, and for a pattern where it
// captures.
func compileSubject(text string) (kind, []byte, place, error) {
	name, err := ParseSubject(text)
	if err != nil {
		return none, nil, place{}, err
	}
	at := span{}
	found := 0
	for _, s := range attributesOf(name.canon) {
		switch value := name.canon[s.value:s.end]; {
		case value == UserVariable:
			at = s
			found++
		case strings.Contains(value, UserVariable):
			return none, nil, place{}, errOnePattern // half a value would be a prefix or a suffix match
		case strings.HasPrefix(value, "{") && strings.HasSuffix(value, "}"):
			return none, nil, place{}, fmt.Errorf("%s: the only variable is {user}", escape.Quote(value, escape.Short))
		}
	}
	if found == 0 {
		return bySubject, []byte(name.canon), place{}, nil
	}
	if found > 1 || !strings.Contains(text, UserVariable) { // \7Buser} is nobody's way to write a variable
		return none, nil, place{}, errOnePattern
	}
	oid := name.canon[at.oid:at.size]
	if !soleType(name.canon, oid) {
		return none, nil, place{}, errTwice
	}
	return bySubjectPattern, appendPatternKey(nil, []byte(name.canon), at), place{oid: oid}, nil
}

// soleType reports whether exactly one attribute of a name is of this type. Where
// there are two, which of them names the user would be a guess.
func soleType[T string | []byte](canon T, oid string) bool {
	n := 0
	for _, s := range attributesOf(canon) {
		if string(canon[s.oid:s.size]) == oid {
			n++
		}
	}
	return n == 1
}

// appendPatternKey appends the name with one value replaced by the mark of a
// capture. Its type occurs once, so the order within its RDN does not depend on it.
func appendPatternKey(to, canon []byte, at span) []byte {
	to = append(to, canon[:at.size]...)
	to = append(to, 0, byte(len(captured)))
	to = append(to, captured...)
	return append(to, canon[at.end:]...)
}

// compileURI returns a mapping's URI as a key, and for a pattern where it captures.
func compileURI(text string) (kind, []byte, place, error) {
	before, after, pattern := strings.Cut(text, UserVariable)
	if !pattern {
		if strings.ContainsAny(text, "{}") {
			return none, nil, place{}, fmt.Errorf("%s: the only variable is {user}", escape.Quote(text, escape.Short))
		}
		return byURI, []byte(text), place{}, checkURI(text)
	}
	if strings.Contains(after, UserVariable) {
		return none, nil, place{}, errOneSegment
	}
	if err := checkURI(before + "user" + after); err != nil {
		return none, nil, place{}, err
	}
	_, rest, _ := strings.Cut(before, ":")
	inHost := strings.HasPrefix(rest, "//") && !strings.Contains(rest[2:], "/")
	if !strings.HasSuffix(before, "/") || after != "" && after[0] != '/' || inHost || strings.Contains(text, "?") {
		return none, nil, place{}, errOneSegment
	}
	return byURIPattern, []byte(before + captured + after), place{segment: strings.Count(before, "/")}, nil
}

// segmentsOf returns the segments of a certificate's URI that a pattern may
// capture: whole ones that may name a user. What stands around them is compared
// with the pattern byte for byte, and so needs no judging of its own.
func segmentsOf(uri []byte) iter.Seq2[int, [2]int] {
	return func(yield func(int, [2]int) bool) {
		if len(uri) > maxURI {
			return
		}
		strict := bytes.HasPrefix(uri, []byte(spiffe))
		for n, from := 0, 0; from <= len(uri); n++ {
			end := bytes.IndexByte(uri[from:], '/')
			if end < 0 {
				end = len(uri)
			} else {
				end += from
			}
			segment := uri[from:end]
			if username.IsUser(segment) && !(strict && bytes.IndexByte(segment, '@') >= 0) && !yield(n, [2]int{from, end}) {
				return
			}
			from = end + 1
		}
	}
}
