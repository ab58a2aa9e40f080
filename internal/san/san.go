// Package san reads the subject alternative names of a certificate byte for byte, and has
// the grammar of the names that a mapping may hold.
//
// crypto/x509 parses URIs, and two different URIs may have the same text when they are
// written again. A name that is compared to a configured one must be the name in the
// certificate.
package san

import (
	"crypto/x509"
	"errors"
	"iter"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Tags of GeneralName (RFC 5280 section 4.2.1.6).
const (
	Email = 1
	DNS   = 2
	URI   = 6
)

// Name is one subject alternative name: its tag and its content.
type Name struct {
	Tag   int
	Value string
}

// Names returns the names of a certificate in their order, as Read does.
func Names(c *x509.Certificate) []Name { return slices.Collect(All(c)) }

// All returns an iterator over Names.
func All(c *x509.Certificate) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		for rest := read(c); ; {
			var tag der.Tag
			var content cryptobyte.String
			if !rest.ReadAnyASN1(&content, &tag) {
				return
			}
			if tag&classMask == contextSpecific && !yield(Name{Tag: int(tag &^ classMask), Value: string(content)}) {
				return
			}
		}
	}
}

// The class of a tag (X.690 section 8.1.2.2).
const (
	classMask       = der.Tag(0xc0)
	contextSpecific = der.Tag(0x80)
)

// Values returns the names of one tag.
func Values(c *x509.Certificate, tag int) []string {
	var out []string
	r := Read(c)
	for name, ok := r.Next(tag); ok; name, ok = r.Next(tag) {
		out = append(out, string(name))
	}
	return out
}

// Reader reads the names of a certificate without allocating.
type Reader struct{ rest cryptobyte.String }

// Read returns a reader of the names of a certificate. It has no names at all where the
// extension is malformed or repeated: the names of half an extension would be a guess, and
// another program might read the other extension.
func Read(c *x509.Certificate) Reader { return Reader{read(c)} }

func read(c *x509.Certificate) cryptobyte.String {
	var names cryptobyte.String
	found := false
	for i := range c.Extensions {
		e := &c.Extensions[i]
		if id := e.Id; len(id) != 4 || id[0] != 2 || id[1] != 5 || id[2] != 29 || id[3] != 17 {
			continue
		}
		rest := cryptobyte.String(e.Value)
		if found || !rest.ReadASN1(&names, der.SEQUENCE) || !rest.Empty() {
			return nil
		}
		found = true
	}
	for rest := names; !rest.Empty(); {
		var name cryptobyte.String
		if !rest.ReadAnyASN1Element(&name, nil) {
			return nil
		}
	}
	return names
}

// Next returns the next name of a tag, and false after the last one. It skips names of
// other tags.
func (r *Reader) Next(tag int) (name []byte, ok bool) {
	for {
		var content cryptobyte.String
		var t der.Tag
		if !r.rest.ReadAnyASN1(&content, &t) {
			return nil, false
		}
		if t == contextSpecific|der.Tag(tag) {
			return content, true
		}
	}
}

// Errors of SoleURI.
var (
	ErrNoURI    = errors.New("the certificate has no URI")
	ErrManyURIs = errors.New("the certificate has more than one URI, and so none to map by")
)

// SoleURI returns the URI of a certificate. A certificate with several has none to map by
// (SPIFFE X509-SVID section 2): choosing one of them would be a guess.
func SoleURI(c *x509.Certificate) ([]byte, error) {
	r := Read(c)
	uri, ok := r.Next(URI)
	if !ok {
		return nil, ErrNoURI
	}
	if _, more := r.Next(URI); more {
		return nil, ErrManyURIs
	}
	return uri, nil
}
