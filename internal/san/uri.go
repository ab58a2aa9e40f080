package san

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// MaxURI is the length of the longest URI that is compared, in bytes (SPIFFE-ID section
// 2.3).
const MaxURI = 2048

// SPIFFE is the beginning of a SPIFFE ID. Its grammar is stricter than that of other
// URIs.
const SPIFFE = "spiffe://"

// CheckURI rejects a text that is not an absolute URI (RFC 3986 section 4.3) with only
// one reading. Mappings compare URIs byte for byte, so a URI that another program might
// normalize to another one is rejected.
func CheckURI(uri string) error {
	if len(uri) > MaxURI {
		return fmt.Errorf("%d bytes, at most %d are compared", len(uri), MaxURI)
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return fmt.Errorf("%q does not belong in a URI (RFC 3986 section 2)", c)
		}
	}
	scheme, rest, found := strings.Cut(uri, ":")
	if !found || !isScheme(scheme) || rest == "" {
		return errors.New("not an absolute URI: SCHEME:REST, the scheme in lower case")
	}
	if strings.Contains(rest, "#") {
		return errors.New("an absolute URI has no fragment")
	}
	if strings.HasPrefix(uri, SPIFFE) {
		return checkSPIFFE(uri[len(SPIFFE):])
	}
	if scheme == "spiffe" {
		return errors.New("a SPIFFE ID is spiffe://TRUST-DOMAIN/PATH")
	}
	if err := checkEscapes(rest); err != nil {
		return err
	}
	path, _, _ := strings.Cut(rest, "?")
	if after, ok := strings.CutPrefix(path, "//"); ok {
		host, _, _ := strings.Cut(after, "/")
		if host == "" || !isAlphanumeric(host[0]) && host[0] != '[' || strings.Contains(host, "@") {
			return errors.New("// must be followed by a host, without a user name")
		}
		path = after[len(host):]
	}
	return checkSegments(path)
}

// isScheme reports whether s is a scheme in lower case (RFC 3986 section 3.1).
func isScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z') && (i == 0 || !('0' <= c && c <= '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// checkSegments rejects a path that RFC 3986 section 5.2.4 would change.
func checkSegments(path string) error {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if s == "." || s == ".." {
			return errors.New("a . or .. segment")
		}
		if s == "" && i > 0 && i < len(segments)-1 {
			return errors.New("an empty segment")
		}
	}
	return nil
}

// checkEscapes rejects an escape of a character that needs none (RFC 3986 section 2.3),
// and one that hides a separator or a control.
func checkEscapes(text string) error {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if i+2 >= len(text) {
			return errEscape
		}
		decoded, err := hex.DecodeString(text[i+1 : i+3])
		if err != nil {
			return errEscape
		}
		if c := decoded[0]; isAlphanumeric(c) || strings.IndexByte("-._~/\\", c) >= 0 || c < ' ' || c == 0x7f {
			return fmt.Errorf("the escape %s can be read in two ways", text[i:i+3])
		}
		i += 2
	}
	return nil
}

var errEscape = errors.New("a % without two hex digits")

// checkSPIFFE checks the part of a SPIFFE ID behind spiffe:// (SPIFFE-ID section 2).
func checkSPIFFE(rest string) error {
	domain, path, found := strings.Cut(rest, "/")
	if domain == "" || len(domain) > 255 || !isAlphanumeric(domain[0]) {
		return errors.New("a SPIFFE ID begins with a trust domain of 1 to 255 characters, the first a letter or digit")
	}
	for i := range len(domain) {
		if c := domain[i]; !('a' <= c && c <= 'z') && !('0' <= c && c <= '9') && c != '.' && c != '-' && c != '_' {
			return errors.New("a SPIFFE trust domain is lower-case letters, digits and . - _, with no user and no port")
		}
	}
	if !found {
		return nil
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return errors.New("a SPIFFE path has no empty, . or .. segment")
		}
		for i := range len(s) {
			if c := s[i]; !isAlphanumeric(c) && c != '.' && c != '-' && c != '_' {
				return errors.New("a SPIFFE path is letters, digits and . - _, with no escapes, query or fragment")
			}
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
