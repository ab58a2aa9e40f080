package guardspiffe

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"

	"github.com/mtlsguard/mtlsguard/trust"
)

// material is what one update of the Workload API holds. It never changes.
type material struct {
	svid
	bundles map[string][]*x509.Certificate // by trust domain
	useless []error                        // why authorities were left out
}

// svid is the certificate that is presented.
type svid struct {
	id, domain  string
	certificate *tls.Certificate
	notAfter    time.Time // the earliest end of a certificate in it
}

// newMaterial returns the material of an update. It has the SVID with an ID, or the first one for "".
// If the update has no such SVID, the former one stays, and the bundles are new all the same: a
// withdrawn bundle must not stay because of it. Then err is why. m is nil if nothing can be used.
func newMaterial(x *workloadapi.X509Context, id string, before *material) (m *material, err error) {
	if len(x.SVIDs) == 0 || x.Bundles == nil {
		return nil, errors.New("the Workload API sent no SVID")
	}
	m = &material{bundles: map[string][]*x509.Certificate{}}
	for _, b := range x.Bundles.Bundles() {
		m.addBundle(b.TrustDomain().Name(), b.X509Authorities())
	}
	at := 0
	if id != "" {
		at = slices.IndexFunc(x.SVIDs, func(s *x509svid.SVID) bool { return s.ID.String() == id })
	}
	if at < 0 {
		err = fmt.Errorf("the Workload API sent no SVID with the ID %q: the first of %d is %s", id, len(x.SVIDs), x.SVIDs[0].ID)
		if before == nil {
			return nil, err
		}
		m.svid = before.svid
		return m, err
	}
	m.setSVID(x.SVIDs[at])
	return m, nil
}

// addBundle adds the authorities that can be anchors. Another one would be an error of the whole
// configuration: a partner's bundle must not keep the others from being renewed. A bundle without
// authorities verifies nothing, as an absent one.
func (m *material) addBundle(domain string, authorities []*x509.Certificate) {
	for i, a := range authorities {
		if _, err := trust.New(trust.Config{TrustDomains: map[string][]*x509.Certificate{domain: {a}}}); err != nil {
			m.useless = append(m.useless, fmt.Errorf("%s, authority %d: %w", domain, i+1, err))
			continue
		}
		m.bundles[domain] = append(m.bundles[domain], a)
	}
}

func (m *material) setSVID(s *x509svid.SVID) {
	m.id, m.domain, m.notAfter = s.ID.String(), s.ID.TrustDomain().Name(), s.Certificates[0].NotAfter
	m.certificate = &tls.Certificate{PrivateKey: s.PrivateKey, Leaf: s.Certificates[0]}
	for _, c := range s.Certificates {
		m.certificate.Certificate = append(m.certificate.Certificate, c.Raw)
		if c.NotAfter.Before(m.notAfter) {
			m.notAfter = c.NotAfter
		}
	}
}

// sameBundles reports whether two updates have the same bundles.
func (m *material) sameBundles(o *material) bool {
	return maps.EqualFunc(m.bundles, o.bundles, func(a, b []*x509.Certificate) bool { return slices.EqualFunc(a, b, (*x509.Certificate).Equal) })
}
