package ocsp

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// checkedAnswer is the content of an accepted answer.
type checkedAnswer struct {
	status     trust.Status // good or revoked
	thisUpdate time.Time
	until      time.Time // when to query again
}

// oidSHA1 is the hash algorithm of the CertID in requests.
var oidSHA1 = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}

// checkResponse checks the answer to a query. Its error is the reason for which the answer is
// not accepted.
func (c *Client) checkResponse(body []byte, q *query) (checkedAnswer, error) {
	now := c.now()
	r, err := parse(body)
	if err != nil {
		return checkedAnswer{}, err
	}
	if err := r.checkExtensions(q.nonce); err != nil {
		return checkedAnswer{}, err
	}
	about := r.singlesFor(q)
	if len(about) == 0 {
		return checkedAnswer{}, responderError("the answer is for another certificate")
	}
	signer, err := r.signer(q.issuer, now)
	if err != nil {
		return checkedAnswer{}, err
	}
	if err := r.checkSignature(body, q, signer); err != nil {
		return checkedAnswer{}, err
	}
	switch {
	case r.producedAt.After(now.Add(skew)):
		return checkedAnswer{}, responderError("the answer was produced in the future")
	case r.producedAt.Before(signer.NotBefore.Add(-skew)), r.producedAt.After(signer.NotAfter):
		return checkedAnswer{}, responderError("the answer was produced outside the validity of its signer's certificate")
	}
	v, err := c.worstOf(about, r.producedAt, now)
	if err == nil && signer != q.issuer && signer.NotAfter.Before(v.until) {
		v.until = signer.NotAfter // an answer ends with the delegate that signed it
	}
	return v, err
}

// singlesFor returns the statuses of the certificate in the response.
func (r *response) singlesFor(q *query) []*single {
	var out []*single
	for i := range r.singles {
		s := &r.singles[i]
		if s.hash.Equal(oidSHA1) && bytes.Equal(s.nameHash, q.certID.IssuerNameHash) &&
			bytes.Equal(s.keyHash, q.certID.IssuerKeyHash) && s.serial.Cmp(q.certID.SerialNumber) == 0 {
			out = append(out, s)
		}
	}
	return out
}

// worstOf checks the statuses of one certificate and returns the worst: revoked, then one that
// is not accepted, then good.
func (c *Client) worstOf(about []*single, produced, now time.Time) (checkedAnswer, error) {
	var good, revoked checkedAnswer
	var failed error
	for _, s := range about {
		v, err := c.checkSingle(s, produced, now)
		switch {
		case err != nil:
			failed = err
		case v.status == trust.StatusRevoked:
			if revoked.status != trust.StatusRevoked || v.thisUpdate.After(revoked.thisUpdate) {
				revoked = v
			}
		case good.until.IsZero() || v.until.Before(good.until):
			good = v
		}
	}
	switch {
	case revoked.status == trust.StatusRevoked:
		return revoked, nil
	case failed != nil:
		return checkedAnswer{}, failed
	}
	return good, nil
}

// checkSingle checks the times of one status.
func (c *Client) checkSingle(s *single, produced, now time.Time) (checkedAnswer, error) {
	end, grace := s.nextUpdate, skew
	if end.IsZero() {
		end, grace = s.thisUpdate.Add(c.maxAge), 0
	}
	stale := now.After(end.Add(grace))
	switch {
	case s.thisUpdate.After(now.Add(skew)):
		return checkedAnswer{}, responderError("the answer is from the future")
	case s.thisUpdate.After(produced.Add(skew)):
		return checkedAnswer{}, responderError("the answer's thisUpdate is after its producedAt")
	case end.Before(s.thisUpdate):
		return checkedAnswer{}, responderError("the answer ends before it starts")
	case s.status == trust.StatusUnknown:
		return checkedAnswer{}, errUnknownCertificate
	case stale && s.status != trust.StatusRevoked: // revoked counts after its end too, as in a CRL
		return checkedAnswer{}, responderError("the answer is too old")
	}
	if !end.After(now) {
		end = now.Add(retryAfter) // accepted once: a newer answer is due
	}
	if last := now.Add(c.maxAge); end.After(last) {
		end = last
	}
	return checkedAnswer{status: s.status, thisUpdate: s.thisUpdate, until: end}, nil
}

// checkExtensions rejects all critical extensions but the nonce, and a nonce that is not the
// one of the request.
func (r *response) checkExtensions(nonce []byte) error {
	var echo []byte
	for _, e := range r.extensions {
		if e.Id.Equal(oidNonce) {
			if rest, err := asn1.Unmarshal(e.Value, &echo); err != nil || len(rest) > 0 {
				return malformedError("nonce")
			}
		} else if e.Critical {
			return criticalIn(e)
		}
	}
	if nonce != nil && !bytes.Equal(nonce, echo) {
		return responderError("the answer does not have the nonce of the request")
	}
	for _, s := range r.singles {
		for _, e := range s.extensions {
			if e.Critical {
				return criticalIn(e)
			}
		}
	}
	return nil
}

func criticalIn(e pkix.Extension) error {
	text := e.Id.String()
	return responderError("the answer has an unknown critical extension: " + text[:min(len(text), 64)])
}
