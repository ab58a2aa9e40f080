package certmap

import (
	"crypto/x509"
	"errors"
)

// Tags of DER that occur here (X.690 section 8).
const (
	tagOID       = 0x06
	tagUTF8      = 0x0c
	tagPrintable = 0x13
	tagIA5       = 0x16
	tagSequence  = 0x30
	tagSet       = 0x31
)

// element takes one element off the front of der. Only definite lengths in their
// shortest form are read, as DER has them (X.690 section 10.1).
func element(der []byte) (tag byte, content, rest []byte, ok bool) {
	if len(der) < 2 || der[0]&0x1f == 0x1f {
		return 0, nil, nil, false
	}
	n, at := int(der[1]), 2
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 3 || len(der) < 2+size || der[2] == 0 {
			return 0, nil, nil, false
		}
		n = 0
		for _, b := range der[2 : 2+size] {
			n = n<<8 | int(b)
		}
		if n < 0x80 {
			return 0, nil, nil, false
		}
		at += size
	}
	if len(der)-at < n {
		return 0, nil, nil, false
	}
	return der[0], der[at : at+n], der[at+n:], true
}

// expect is element for an element that must have this tag.
func expect(der []byte, want byte) (content, rest []byte, ok bool) {
	tag, content, rest, ok := element(der)
	return content, rest, ok && tag == want
}

// Context tags of a GeneralName (RFC 5280 section 4.2.1.6).
const (
	sanEmail = 0x81
	sanDNS   = 0x82
	sanURI   = 0x86
)

// nextName takes the next name of one type off the front of generalNames, as the
// bytes that the certificate holds: a url.URL may print otherwise than it was read.
func nextName(names []byte, want byte) (name, rest []byte, ok bool) {
	for len(names) > 0 {
		var tag byte
		if tag, name, names, ok = element(names); ok && tag == want {
			return name, names, true
		}
	}
	return nil, nil, false
}

// generalNames returns the content of the leaf's subject alternative names, known
// to be whole. An extension that cannot be read to its end has no names, and
// neither have two.
func generalNames(leaf *x509.Certificate) []byte {
	var names []byte
	seen := false
	for i := range leaf.Extensions {
		e := &leaf.Extensions[i]
		if id := e.Id; len(id) != 4 || id[0] != 2 || id[1] != 5 || id[2] != 29 || id[3] != 17 {
			continue
		}
		content, after, ok := expect(e.Value, tagSequence)
		if seen || !ok || len(after) > 0 {
			return nil
		}
		seen, names = true, content
	}
	for rest := names; len(rest) > 0; {
		var ok bool
		if _, _, rest, ok = element(rest); !ok {
			return nil
		}
	}
	return names
}

// soleURI returns the leaf's URI. A certificate with several has none to map by
// (SPIFFE X509-SVID section 2): which of them it is would be a guess.
func soleURI(leaf *x509.Certificate) ([]byte, error) {
	uri, rest, ok := nextName(generalNames(leaf), sanURI)
	if !ok {
		return nil, errNoURI
	}
	if _, _, more := nextName(rest, sanURI); more {
		return nil, errManyURIs
	}
	return uri, nil
}

var (
	errNoURI    = errors.New("the certificate has no URI")
	errManyURIs = errors.New("the certificate has more than one URI, and so none to map by")
)
