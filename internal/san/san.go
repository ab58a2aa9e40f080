// Package san reads the subject alternative names of a certificate, byte for byte, and
// has the grammar of the names that a mapping may hold. It does not use the URIs that
// crypto/x509 parsed: a url.URL may print differently from the bytes of the certificate.
package san

import (
	"crypto/x509"
	"errors"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Kind is the type of an alternative name: its tag in a GeneralName (RFC 5280 section
// 4.2.1.6).
type Kind = der.Tag

// Kinds of names that a mapping may hold.
const (
	Email Kind = 0x81
	DNS   Kind = 0x82
	URI   Kind = 0x86
)

// Names is the rest of a certificate's alternative names, of every kind.
type Names struct{ rest cryptobyte.String }

// Of returns the alternative names of a certificate. A malformed extension has no names,
// and a certificate with two extensions has none either: another program might read the
// other one.
func Of(cert *x509.Certificate) Names {
	var names cryptobyte.String
	seen := false
	for i := range cert.Extensions {
		e := &cert.Extensions[i]
		if id := e.Id; len(id) != 4 || id[0] != 2 || id[1] != 5 || id[2] != 29 || id[3] != 17 {
			continue
		}
		rest := cryptobyte.String(e.Value)
		if seen || !rest.ReadASN1(&names, der.SEQUENCE) || !rest.Empty() {
			return Names{}
		}
		seen = true
	}
	for rest := names; !rest.Empty(); {
		var name cryptobyte.String
		if !rest.ReadAnyASN1Element(&name, nil) {
			return Names{}
		}
	}
	return Names{names}
}

// Next returns the next name of a kind, and false after the last one. It passes over
// names of other kinds.
func (n *Names) Next(kind Kind) (name []byte, ok bool) {
	for !n.rest.Empty() {
		var content cryptobyte.String
		var tag der.Tag
		if !n.rest.ReadAnyASN1(&content, &tag) {
			return nil, false
		}
		if tag == kind {
			return content, true
		}
	}
	return nil, false
}

// All returns every name of a kind.
func All(cert *x509.Certificate, kind Kind) []string {
	var all []string
	names := Of(cert)
	for name, ok := names.Next(kind); ok; name, ok = names.Next(kind) {
		all = append(all, string(name))
	}
	return all
}

// Errors of SoleURI.
var (
	ErrNoURI    = errors.New("the certificate has no URI")
	ErrManyURIs = errors.New("the certificate has more than one URI, and so none to map by")
)

// SoleURI returns the URI of a certificate. A certificate with several has none to map
// by (SPIFFE X509-SVID section 2): choosing one of them would be a guess.
func SoleURI(cert *x509.Certificate) ([]byte, error) {
	names := Of(cert)
	uri, ok := names.Next(URI)
	if !ok {
		return nil, ErrNoURI
	}
	if _, more := names.Next(URI); more {
		return nil, ErrManyURIs
	}
	return uri, nil
}
