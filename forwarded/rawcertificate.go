package forwarded

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/reason"
)

// maxHeaderBytes bounds all headers of one request together, before any is parsed.
const maxHeaderBytes = 16 << 10

// RawCertificate is a copy of the gateway's headers of one request, not yet parsed. It
// remains valid after the headers have been deleted. The zero value holds no headers.
type RawCertificate struct {
	cert, chain, verified string
	hasCert               bool
	err                   headerError
}

// Read copies the gateway's headers out of the headers of a request and of its announced
// trailers, so that the caller can delete them before anyone else reads them. It changes
// and allocates nothing, and returns no error: Verify does. Call it only for a request
// whose connection is a gateway's (IsGateway). It is safe for concurrent use.
func (r *Receiver) Read(h, trailer http.Header) RawCertificate {
	t := &r.topology
	var raw RawCertificate
	for name, values := range h {
		if !t.owns(name) {
			continue
		}
		if len(values) != 1 {
			raw.err = errRepeatedHeader
			continue
		}
		switch name {
		case t.cert:
			raw.cert, raw.hasCert = values[0], true
		case t.chain:
			raw.chain = values[0]
		case t.verified:
			raw.verified = values[0]
		default:
			raw.err = errSpelling // to some programs two such names are one: neither is used
		}
	}
	for name := range trailer {
		if t.owns(name) {
			raw.err = errTrailer // a trailer comes from the client, not from the gateway
		}
	}
	if len(raw.cert)+len(raw.chain)+len(raw.verified) > maxHeaderBytes {
		raw = RawCertificate{err: errTooLong}
	}
	return raw
}

// checkPresence checks everything but the certificate: that the headers could be read,
// that there is a certificate, and the gateway's verification result. It returns nil if a
// certificate remains to be verified.
func (t *Topology) checkPresence(raw *RawCertificate) error {
	if raw.err != "" {
		return refuseHeader(raw.err.Error())
	}
	if raw.cert == "" || raw.cert == t.format.null {
		return t.refuseMissing(raw)
	}
	if t.verified != "" && raw.verified != t.yes {
		return refuseHeader(t.verified + " does not report a verified certificate")
	}
	return nil
}

// refuseMissing returns the refusal for a request without a certificate: no-certificate
// where the gateway reports that the client sent none, and bad-header where the gateway's
// header may have been dropped on the way.
func (t *Topology) refuseMissing(raw *RawCertificate) error {
	if raw.chain != "" {
		return refuseHeader(t.chain + " without " + t.cert)
	}
	if t.reportsNone(raw) {
		return reason.Refuse(reason.NoCertificate, "the gateway reports that the client sent no certificate")
	}
	if raw.hasCert {
		return refuseHeader(t.cert + " is empty, and the gateway does not report that there was no certificate")
	}
	return refuseHeader(t.cert + " is missing, and the gateway does not report that there was no certificate")
}

// reportsNone reports whether the headers are those that the gateway sends for a client
// without a certificate.
func (t *Topology) reportsNone(raw *RawCertificate) bool {
	f := t.format
	if t.verified == "" {
		return raw.hasCert == f.always // empty, or absent, as this product does it
	}
	if f.none != "" {
		return raw.verified == f.none
	}
	// This product reports the same result with and without a certificate.
	return f.always && raw.hasCert && raw.verified == t.yes
}
