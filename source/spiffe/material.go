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
)

// material is what one update of the Workload API holds. It never changes.
type material struct {
	id, domain  string
	certificate *tls.Certificate
	notAfter    time.Time // the earliest end of a certificate that is presented
	bundles     map[string][]*x509.Certificate
}

// newMaterial chooses the SVID with an ID, or the first one.
func newMaterial(x *workloadapi.X509Context, id string) (*material, error) {
	if len(x.SVIDs) == 0 || x.Bundles == nil {
		return nil, errors.New("the Workload API sent no SVID")
	}
	svid := x.SVIDs[0]
	if id != "" {
		at := slices.IndexFunc(x.SVIDs, func(s *x509svid.SVID) bool { return s.ID.String() == id })
		if at < 0 {
			return nil, fmt.Errorf("the Workload API sent no SVID with the ID %q: the first of %d is %s", id, len(x.SVIDs), svid.ID)
		}
		svid = x.SVIDs[at]
	}
	m := &material{
		id: svid.ID.String(), domain: svid.ID.TrustDomain().Name(), notAfter: svid.Certificates[0].NotAfter,
		certificate: &tls.Certificate{PrivateKey: svid.PrivateKey, Leaf: svid.Certificates[0]},
		bundles:     map[string][]*x509.Certificate{},
	}
	for _, c := range svid.Certificates {
		m.certificate.Certificate = append(m.certificate.Certificate, c.Raw)
		if c.NotAfter.Before(m.notAfter) {
			m.notAfter = c.NotAfter
		}
	}
	for _, b := range x.Bundles.Bundles() {
		if authorities := b.X509Authorities(); len(authorities) > 0 { // an empty bundle verifies nothing, as an absent one
			m.bundles[b.TrustDomain().Name()] = authorities
		}
	}
	return m, nil
}

// sameBundles reports whether two updates have the same bundles.
func (m *material) sameBundles(o *material) bool {
	return maps.EqualFunc(m.bundles, o.bundles, func(a, b []*x509.Certificate) bool { return slices.EqualFunc(a, b, (*x509.Certificate).Equal) })
}
