package guardspiffe

import (
	"context"
	"crypto/x509"
	"log/slog"
	"maps"
	"time"
)

// Bundles returns the current authorities of each trust domain, by its name, for
// trust.Config.TrustDomains: those of the workload's own trust domain, and of the domains that it
// is federated with. The caller owns the map. Use Follow to see changes.
func (s *Source) Bundles() map[string][]*x509.Certificate {
	return maps.Clone(s.current.Load().bundles)
}

// Roots returns the authorities of the workload's own trust domain, for outbound.Config.Roots and
// Transport.SetRoots. A server needs a DNS name in its SVID, which the Transport verifies.
func (s *Source) Roots() *x509.CertPool {
	m, pool := s.current.Load(), x509.NewCertPool()
	for _, c := range m.bundles[m.domain] {
		pool.AddCert(c)
	}
	return pool
}

// followAgain is the time after which a function that failed is called again.
const followAgain = 10 * time.Second

// Follow calls apply with the bundles, and again whenever one has changed, until ctx ends. A
// renewed SVID with the same bundles is no change. An error of apply is logged, and apply is called
// again after 10 s: until it succeeds, what it has set before stays in effect.
func (s *Source) Follow(ctx context.Context, apply func(map[string][]*x509.Certificate) error) {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		var again <-chan time.Time
		if err := apply(s.Bundles()); err != nil {
			s.config.Log.Error("SPIFFE: the new bundles do not take effect, the last ones stay", slog.String("error", err.Error()))
			again = time.After(followAgain)
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-again:
		}
	}
}
