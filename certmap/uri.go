package certmap

import (
	"errors"
	"fmt"
	"strings"
)

// maxURI is the longest URI that is looked at (SPIFFE-ID section 2.3).
const maxURI = 2048

const spiffe = "spiffe://"

// checkURI wants an absolute URI (RFC 3986 section 4.3) that can be read in one
// way only. It is compared byte for byte, so one that a certificate could hardly
// hold, or that somebody on the way might normalise, is a mistake.
func checkURI(uri string) error {
	if len(uri) > maxURI {
		return fmt.Errorf("%d bytes, at most %d are compared", len(uri), maxURI)
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return fmt.Errorf("%q does not belong in a URI (RFC 3986 section 2)", c)
		}
	}
	scheme, rest, found := strings.Cut(uri, ":")
	if !found || !schemeName(scheme) || rest == "" {
		return errors.New("not an absolute URI: SCHEME:REST, the scheme in lower case")
	}
	if strings.Contains(rest, "#") {
		return errors.New("an absolute URI has no fragment")
	}
	if strings.HasPrefix(uri, spiffe) {
		return checkSPIFFE(uri[len(spiffe):])
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
		if host == "" || !alphanumeric(host[0]) && host[0] != '[' || strings.Contains(host, "@") {
			return errors.New("a host without a user name is wanted after //")
		}
		path = after[len(host):]
	}
	return checkSegments(path)
}

func schemeName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z') && (i == 0 || !('0' <= c && c <= '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// checkSegments refuses what RFC 3986 section 5.2.4 would remove.
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

// checkEscapes refuses escapes that have a plainer way to be written (RFC 3986
// section 2.3), and those that hide a separator or a control.
func checkEscapes(text string) error {
	for i := 0; i < len(text); i++ {
		if text[i] != '%' {
			continue
		}
		if i+2 >= len(text) || unhex(text[i+1]) < 0 || unhex(text[i+2]) < 0 {
			return errors.New("a % without two hex digits")
		}
		c := byte(unhex(text[i+1])<<4 | unhex(text[i+2]))
		if alphanumeric(c) || strings.IndexByte("-._~/\\", c) >= 0 || c < ' ' || c == 0x7f {
			return fmt.Errorf("the escape %s can be read in two ways", text[i:i+3])
		}
		i += 2
	}
	return nil
}

// checkSPIFFE judges what follows spiffe:// (SPIFFE-ID section 2).
func checkSPIFFE(rest string) error {
	domain, path, found := strings.Cut(rest, "/")
	if domain == "" || len(domain) > 255 || !alphanumeric(domain[0]) {
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
			if c := s[i]; !alphanumeric(c) && c != '.' && c != '-' && c != '_' {
				return errors.New("a SPIFFE path is letters, digits and . - _, with no escapes, query or fragment")
			}
		}
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
