package forwarded

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// Topology is how one gateway states certificates. The constructors make it, one
// for each product; the zero value is a mistake.
type Topology struct {
	format   *format
	cert     string // names of headers, as net/http writes them
	chain    string // empty: the issuers stand beside the leaf, or nowhere
	verified string // empty: no such header is looked at
	yes      string // what verified says of a certificate that the gateway believes
	wrong    error  // mistakes of the caller of a constructor
}

// format is what all gateways of one product have in common.
type format struct {
	name   string  // as Named takes it
	header string  // the certificate's header where the caller names none
	own    bool    // header is the product's own: no other format reads it
	also   string  // another header of the product's own
	chain  bool    // a second header holds the issuers
	decode decoder // of both headers
	marks  bool    // the product can say whether it verified
	yes    string  // how it says so
	none   string  // how it says that there was no certificate; empty: it does not
	null   string  // what stands for nothing in the certificate's header, beside nothing
	always bool    // it sends the header with every request, with nothing in it where there was no certificate
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

func (t *Topology) check() error {
	var wrong errorlist.List
	say := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	for _, name := range []string{t.cert, t.verified} {
		switch {
		case name == "":
		case !plain(name):
			say(fmt.Sprintf("%q is no name for a gateway's header", name), "letters, digits and dashes, such as X-SSL-Client-Cert")
		case needed[name]:
			say(fmt.Sprintf("the header %s has a meaning of its own", name), "a header that the gateway sets for this alone, such as X-SSL-Client-Cert")
		}
	}
	if plain(t.verified) && (t.verified == t.cert || t.verified == t.chain) {
		say(fmt.Sprintf("the header %s cannot state both the certificate and whether it was verified", t.verified), "two headers")
	}
	if f := owner(t.cert); f != nil && f != t.format {
		say(fmt.Sprintf("the header %s is written as format %s says, not %s", t.cert, f.name, t.format.name), "format: "+f.name+", or another header")
	}
	return wrong.Err()
}

// owner is the format whose own header this is.
func owner(header string) *format {
	for _, f := range formats {
		if f.own && (http.CanonicalHeaderKey(f.header) == header || http.CanonicalHeaderKey(f.also) == header) {
			return f
		}
	}
	return nil
}

// needed are headers that every port would delete if a gateway stated
// certificates in them.
var needed = map[string]bool{
	"Accept": true, "Authorization": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Cookie": true, "Expect": true, "Forwarded": true,
	"Host": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "X-Forwarded-For": true, "X-Forwarded-Proto": true,
}

// plain reports whether a name has one spelling but for case.
func plain(name string) bool {
	for i := range len(name) {
		c := name[i] | 0x20
		if (c < 'a' || c > 'z') && (name[i] < '0' || name[i] > '9') && name[i] != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 128
}

// headers are the names of all headers that the gateway writes.
func (t *Topology) headers() []string {
	var out []string
	for _, name := range []string{t.cert, t.chain, t.verified} {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// owns reports whether a header of this name, in any spelling, is one of them.
func (t *Topology) owns(name string) bool {
	return idheader.Same(name, t.cert) || t.chain != "" && idheader.Same(name, t.chain) || t.verified != "" && idheader.Same(name, t.verified)
}
