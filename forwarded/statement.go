package forwarded

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/reason"
)

// maxStatement bounds all that is stated of one request, in bytes, before anything
// of it is read.
const maxStatement = 16 << 10

// Statement is what the headers of one request state, unread. The zero value
// states nothing. It is valid after the headers are gone.
type RawCertificate struct {
	cert, chain, verified string
	hasCert               bool
	fault                 fault
}

// Take copies what is stated out of the headers of a request and of the
// announcement of its trailers, so that they can be deleted before anyone else sees
// them. It changes nothing, allocates nothing and judges nothing: Verify does. It
// must be called only for a request whose connection IsGateway.
func (r *Receiver) Read(h, trailer http.Header) RawCertificate {
	t := &r.topology
	var s RawCertificate
	for name, values := range h {
		if !t.owns(name) {
			continue
		}
		if len(values) != 1 {
			s.fault = faultTwice
			continue
		}
		switch name {
		case t.cert:
			s.cert, s.hasCert = values[0], true
		case t.chain:
			s.chain = values[0]
		case t.verified:
			s.verified = values[0]
		default:
			s.fault = faultSpelling // of two names that are one to somebody, neither is believed
		}
	}
	for name := range trailer {
		if t.owns(name) {
			s.fault = faultTrailer // what follows the body came after the gateway's own headers
		}
	}
	if len(s.cert)+len(s.chain)+len(s.verified) > maxStatement {
		s = RawCertificate{fault: faultLong}
	}
	return s
}

// weigh decides by everything but the certificate: what is missing, and what the
// gateway says of it. It returns nil where there is a certificate to judge.
func (t *Topology) weigh(s *RawCertificate) error {
	switch {
	case s.fault != "":
		return bad(s.fault.Error())
	case s.cert == "" || s.cert == t.format.null:
		return t.absent(s)
	case t.verified == "":
		return nil
	case s.verified != t.yes:
		return bad(t.verified + " does not say that the gateway verified the certificate")
	}
	return nil
}

// absent decides what no certificate means: that there was none, or that somebody
// made the gateway's statement disappear. In doubt it is not "none".
func (t *Topology) absent(s *RawCertificate) error {
	f := t.format
	none := false
	switch {
	case s.chain != "":
		return bad(t.chain + " without " + t.cert)
	case t.verified == "":
		none = s.hasCert == f.always // there and empty, or not there, as this gateway does it
	case f.none != "":
		none = s.verified == f.none
	case f.always:
		none = s.hasCert && s.verified == t.yes // it says the same of none as of a good one
	}
	switch {
	case none:
		return reason.Refuse(reason.NoCertificate, "the gateway states that the client sent no certificate")
	case s.hasCert:
		return bad(t.cert + " is empty, and nothing says that there was no certificate")
	}
	return bad(t.cert + " is missing, and nothing says that there was no certificate")
}
