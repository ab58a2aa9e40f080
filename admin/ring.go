package admin

import (
	"bytes"
	"crypto/x509"
	"sync"
	"unsafe"

	"github.com/mtlsguard/mtlsguard/trust"
)

// ring holds the last refusals, and the certificates that they are about, each once. It is
// bounded in refusals, in certificates and in bytes. It is safe for concurrent use.
type ring struct {
	mostRefusals, mostCertificates, mostBytes int

	mu           sync.Mutex
	refusals     []*refusal // a queue that wraps around
	first, count int
	known        map[trust.Digest]*certificate
	bytes        int
}

func newRing(refusals, certificates, bytes int) *ring {
	return &ring{
		mostRefusals: refusals, mostCertificates: certificates, mostBytes: bytes,
		refusals: make([]*refusal, refusals), known: map[trust.Digest]*certificate{},
	}
}

// perCertificate is what a certificate takes beside its bytes, its description and its place in the
// map included.
const perCertificate = int(unsafe.Sizeof(certificate{})) + maxDescription + 2*int(unsafe.Sizeof(trust.Digest{})) + 32

// add records a refusal with its chain, and forgets the oldest ones until everything fits.
func (g *ring) add(r *refusal, chain []*x509.Certificate) {
	chain = chain[:min(len(chain), maxCertificates)]
	total := 0
	for _, c := range chain {
		total += len(c.Raw)
	}
	if total > maxChain {
		chain = nil
	}
	digests := make([]trust.Digest, len(chain)) // before the lock: they take a microsecond each
	for i, c := range chain {
		digests[i] = trust.FingerprintOf(c)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range chain {
		k := g.known[digests[i]]
		if k == nil {
			k = &certificate{fingerprint: digests[i], der: bytes.Clone(c.Raw)} // c.Raw is a part of the handshake's message
			g.known[digests[i]] = k
			g.bytes += len(k.der) + perCertificate
		}
		k.refusals++
		r.chain = append(r.chain, k)
	}
	g.bytes += r.size()
	for g.count == g.mostRefusals || g.count > 0 && (g.bytes > g.mostBytes || len(g.known) > g.mostCertificates) {
		g.dropOldest()
	}
	g.refusals[(g.first+g.count)%g.mostRefusals] = r
	g.count++
}

// dropOldest forgets the oldest refusal, and the certificates that no other refusal has.
func (g *ring) dropOldest() {
	r := g.refusals[g.first]
	g.refusals[g.first] = nil
	g.first, g.count = (g.first+1)%g.mostRefusals, g.count-1
	g.bytes -= r.size()
	for _, k := range r.chain {
		if k.refusals--; k.refusals == 0 {
			delete(g.known, k.fingerprint)
			g.bytes -= len(k.der) + perCertificate
		}
	}
}

// all returns the refusals, oldest first.
func (g *ring) all() []*refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]*refusal, 0, g.count)
	for i := range g.count {
		out = append(out, g.refusals[(g.first+i)%g.mostRefusals])
	}
	return out
}
