package forwarded

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// Topology describes how one gateway forwards certificates: its headers and their
// encoding. Use a constructor or ParseTopology; New refuses the zero value. A Topology
// is immutable and safe for concurrent use.
type Topology struct {
	format   *format
	cert     string // header names in net/http's canonical form
	chain    string // "" where the issuers are in cert, or nowhere
	verified string // "" where no such header is read
	yes      string // the value of verified for a verified certificate
	wrong    error  // errors in a constructor's arguments; New returns them
}

// format holds what all gateways of one product have in common.
type format struct {
	name   string  // in ParseTopology
	header string  // the default header of the certificate
	own    bool    // header is the product's own: no other format reads it
	also   string  // another header of the product's own
	chain  bool    // a second header holds the issuers
	decode decoder // of both headers
	marks  bool    // the product can report whether it verified the certificate
	yes    string  // the default value for a verified certificate
	none   string  // the value for a request without a certificate; "" if there is none
	null   string  // a placeholder for an empty certificate header
	always bool    // the certificate's header comes with every request, empty without a certificate
}

// Format returns the name of the format, as ParseTopology reads it; empty for the zero value.
func (t Topology) Format() string {
	if t.format == nil {
		return ""
	}
	return t.format.name
}

func (f *format) topology(header, verified string) Topology {
	t := Topology{format: f, cert: http.CanonicalHeaderKey(header), verified: http.CanonicalHeaderKey(verified)}
	if header == "" {
		t.cert = http.CanonicalHeaderKey(f.header)
	}
	if f.chain {
		t.chain = strings.TrimSuffix(t.cert, "-Leaf") + "-Chain"
	}
	if verified != "" {
		t.yes = f.yes
	}
	t.wrong = t.check()
	return t
}

// check returns the errors in the header names.
func (t *Topology) check() error {
	var wrong errorlist.List
	report := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	for _, name := range []string{t.cert, t.verified} {
		if name == "" {
			continue
		}
		if !isPlainName(name) {
			report(fmt.Sprintf("%q is not a header name", name), "letters, digits and dashes, such as X-SSL-Client-Cert")
		} else if reserved[name] {
			report(fmt.Sprintf("the header %s has another meaning", name), "choose a header that only the gateway sets, such as X-SSL-Client-Cert")
		}
	}
	if isPlainName(t.verified) && (t.verified == t.cert || t.verified == t.chain) {
		report(fmt.Sprintf("the header %s cannot hold both a certificate and the verification result", t.verified), "use two headers")
	}
	if f := owner(t.cert); f != nil && f != t.format {
		report(fmt.Sprintf("the header %s belongs to format %s, not %s", t.cert, f.name, t.format.name), "format: "+f.name+", or another header")
	}
	return wrong.Err()
}

// owner returns the format that a product's own header belongs to, or nil.
func owner(header string) *format {
	for _, f := range formats {
		if f.own && (http.CanonicalHeaderKey(f.header) == header || http.CanonicalHeaderKey(f.also) == header) {
			return f
		}
	}
	return nil
}

// reserved lists headers that requests need: every port deletes the headers of a
// Topology.
var reserved = map[string]bool{
	"Accept": true, "Authorization": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true, "Forwarded": true,
	"Host": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "X-Forwarded-For": true, "X-Forwarded-Proto": true,
}

// isPlainName reports whether name consists of letters, digits and dashes, so that it has
// one spelling but for case.
func isPlainName(name string) bool {
	for i := range len(name) {
		if !isAlphanumeric(name[i]) && name[i] != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 128
}

// headers returns the names of the gateway's headers.
func (t *Topology) headers() []string {
	var out []string
	for _, name := range []string{t.cert, t.chain, t.verified} {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// owns reports whether name is one of the gateway's headers, in any spelling.
func (t *Topology) owns(name string) bool {
	return idheader.Same(name, t.cert) || t.chain != "" && idheader.Same(name, t.chain) || t.verified != "" && idheader.Same(name, t.verified)
}
