// Package question checks the names of the headers in which a gateway describes the request that
// it asks about. The guard and the configuration file use it.
package question

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// Header is one of the headers, as it is configured.
type Header struct {
	Key     string // what the configuration calls it
	Name    string
	Example string
}

// reserved are headers that describe the question itself, or that proxies set for every request.
var reserved = map[string]bool{
	"Accept": true, "Authorization": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true, "Forwarded": true,
	"Host": true, "Keep-Alive": true, "Proxy-Authorization": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "User-Agent": true,
	"X-Forwarded-For": true, "X-Forwarded-Proto": true,
}

// Check calls fail for each name that is wrong. deleted are the headers of forwarded certificates,
// which are deleted before a question is read.
func Check(headers []Header, deleted []string, fail func(h Header, what, hint string)) {
	for i, h := range headers {
		same := func(other string) bool { return idheader.Same(other, h.Name) }
		switch {
		case !isPlain(h.Name):
			fail(h, fmt.Sprintf("%q is not a header name", h.Name), "letters, digits and dashes, such as "+h.Example)
		case reserved[http.CanonicalHeaderKey(h.Name)]:
			fail(h, "the header "+h.Name+" has another meaning", "choose one that only the gateway sets, such as "+h.Example)
		case idheader.Is(h.Name), slices.ContainsFunc(deleted, same):
			fail(h, "the header "+h.Name+" names a caller, and is deleted from every request", "choose another, such as "+h.Example)
		case slices.ContainsFunc(headers[:i], func(other Header) bool { return same(other.Name) }):
			fail(h, "the header "+h.Name+" is named twice", "the gateway sends method, target and host in a header each")
		}
	}
}

// isPlain reports whether a name has one spelling but for case.
func isPlain(name string) bool {
	return name != "" && len(name) <= 128 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == ""
}
