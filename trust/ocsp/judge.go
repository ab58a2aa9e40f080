package ocsp

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// verdict is what a believed answer says.
type verdict struct {
	status     trust.Status // good or revoked
	thisUpdate time.Time
	until      time.Time // when to ask again
}

// oidSHA1 is the hash of the CertID that newQuestion writes.
var oidSHA1 = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}

// judge believes an answer to a question, or says why not.
func (c *Client) judge(body []byte, q *question) (verdict, error) {
	now := c.now()
	r, err := parse(body)
	if err != nil {
		return verdict{}, err
	}
	if err := r.checkExtensions(q.nonce); err != nil {
		return verdict{}, err
	}
	about := r.about(q)
	if len(about) == 0 {
		return verdict{}, wrong("the answer is not about the certificate asked about")
	}
	signer, err := r.signer(q.issuer, now)
	if err != nil {
		return verdict{}, err
	}
	if err := r.checkSignature(body, q, signer); err != nil {
		return verdict{}, err
	}
	switch {
	case r.produced.After(now.Add(skew)):
		return verdict{}, wrong("the answer was produced in the future")
	case r.produced.Before(signer.NotBefore.Add(-skew)), r.produced.After(signer.NotAfter):
		return verdict{}, wrong("the answer was produced outside the validity of its signer's certificate")
	}
	v, err := c.worst(about, r.produced, now)
	if err == nil && signer != q.issuer && signer.NotAfter.Before(v.until) {
		v.until = signer.NotAfter // a delegate that expires takes its answers along
	}
	return v, err
}

// about returns what the response says about the certificate asked about.
func (r *response) about(q *question) []*single {
	var out []*single
	for i := range r.singles {
		s := &r.singles[i]
		if s.hash.Equal(oidSHA1) && bytes.Equal(s.name, q.id.IssuerNameHash) &&
			bytes.Equal(s.key, q.id.IssuerKeyHash) && s.serial.Cmp(q.id.SerialNumber) == 0 {
			out = append(out, s)
		}
	}
	return out
}

// worst judges every single response about a certificate: one that is revoked beats
// one that cannot be believed, and that beats a good one.
func (c *Client) worst(about []*single, produced, now time.Time) (verdict, error) {
	var good, revoked verdict
	var failed error
	for _, s := range about {
		v, err := c.judgeSingle(s, produced, now)
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
		return verdict{}, failed
	}
	return good, nil
}

// judgeSingle checks the times of a single response.
func (c *Client) judgeSingle(s *single, produced, now time.Time) (verdict, error) {
	end, grace := s.next, skew
	if end.IsZero() {
		end, grace = s.this.Add(c.maxAge), 0
	}
	stale := now.After(end.Add(grace))
	switch {
	case s.this.After(now.Add(skew)):
		return verdict{}, wrong("the answer is from the future")
	case s.this.After(produced.Add(skew)):
		return verdict{}, wrong("the answer is newer than its signature")
	case end.Before(s.this):
		return verdict{}, wrong("the answer ends before it starts")
	case s.status == trust.StatusUnknown:
		return verdict{}, errNotOurs
	case stale && s.status != trust.StatusRevoked: // revoked stays, as it does in a CRL
		return verdict{}, wrong("the answer is too old")
	}
	if !end.After(now) {
		end = now.Add(pause) // believed for once, but a newer one is due
	}
	if last := now.Add(c.maxAge); end.After(last) {
		end = last
	}
	return verdict{status: s.status, thisUpdate: s.this, until: end}, nil
}

// checkExtensions refuses what is critical, since nothing but the nonce is understood,
// and wants the nonce back that was sent.
func (r *response) checkExtensions(nonce []byte) error {
	var echo []byte
	for _, e := range r.extensions {
		if e.Id.Equal(oidNonce) {
			if rest, err := asn1.Unmarshal(e.Value, &echo); err != nil || len(rest) > 0 {
				return malformed("nonce")
			}
		} else if e.Critical {
			return criticalIn(e)
		}
	}
	if nonce != nil && !bytes.Equal(nonce, echo) {
		return wrong("the answer does not hold the nonce that was sent")
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
	return wrong("the answer has a critical extension that is not understood: " + text[:min(len(text), 64)])
}
