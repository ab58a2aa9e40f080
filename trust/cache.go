package trust

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/expire"
)

const (
	cacheSize  = 4096     // leaves
	cacheBytes = 32 << 20 // of their chains, by the estimate of result.size
	cacheTime  = 10 * time.Minute
	// cacheChains is the number of results that are cached for one leaf: a client may present
	// its leaf with different issuers.
	cacheChains = 4
)

// cache holds results by the fingerprint of their leaf.
type cache struct {
	mu      sync.Mutex // of changes
	entries *expire.Cache[[]*result]
}

func newCache() *cache {
	return &cache{entries: expire.NewSized[[]*result](cacheSize, cacheBytes, cacheTime)}
}

// findCached returns the cached result for exactly the chains that these certificates form,
// or nil. The result may have expired.
func (v *Verifier) findCached(presented []*x509.Certificate) *result {
	key := FingerprintOf(presented[0])
	all, _ := v.cache.entries.Get(string(key[:]))
	for _, b := range all {
		if v.matchesPresented(b, presented) {
			return b
		}
	}
	return nil
}

// matchesPresented reports whether b is the result for the presented certificates: they
// contain every issuer of its chains, and no other certificate that could be an issuer in
// one of them. Unrelated certificates do not count: otherwise a client could fill the cache
// with variations of one chain.
func (v *Verifier) matchesPresented(b *result, presented []*x509.Certificate) bool {
	for _, c := range b.presented[1:] {
		if !slices.ContainsFunc(presented[1:], c.Equal) {
			return false
		}
	}
	for _, extra := range presented[1:] {
		if slices.ContainsFunc(b.presented, extra.Equal) || slices.ContainsFunc(v.anchors, extra.Equal) {
			continue
		}
		if slices.ContainsFunc(b.presented, func(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, extra.RawSubject) }) {
			return false
		}
	}
	return true
}

// remember caches a result of v: see trustaccess.Remember.
func (v *Verifier) remember(verified Verified) {
	b := verified.result
	if b == nil || b.generation != v.generation || b.remembered.Swap(true) {
		return
	}
	key := string(b.fingerprint[:])
	v.cache.mu.Lock()
	defer v.cache.mu.Unlock()
	all, _ := v.cache.entries.Get(key)
	same := func(old *result) bool {
		return slices.EqualFunc(old.presented, b.presented, (*x509.Certificate).Equal)
	}
	if i := slices.IndexFunc(all, same); i >= 0 && !all[i].until.Before(b.until) && all[i].notBefore.Sub(b.notBefore) <= backwards {
		return // keep the first one: connections hold on to it. It is useless if the clock was set back
	}
	all = slices.DeleteFunc(slices.Clone(all), same)
	if len(all) >= cacheChains {
		all = all[1:]
	}
	all = append(all, b)
	size := 0
	for _, each := range all {
		size += each.size()
	}
	v.cache.entries.PutSized(key, all, size)
}

// size returns an upper estimate of the memory that a result takes: the DER, the parsed
// certificates and the structures around them. The anchors belong to the verifier.
func (b *result) size() int {
	const parsed = 4 << 10
	n := parsed
	for _, c := range b.presented {
		n += parsed + 2*len(c.Raw)
	}
	return n
}

var errUnreadableCopy = errors.New("trust: a parsed certificate cannot be parsed again")

// copyChains returns the chains with copied certificates, and the copies of the presented
// ones, leaf first. A certificate of crypto/tls keeps the whole handshake message in memory,
// and the client chooses the size of that message.
func (v *Verifier) copyChains(chains [][]*x509.Certificate) (own [][]*x509.Certificate, presented []*x509.Certificate, err error) {
	for _, chain := range chains {
		copied := make([]*x509.Certificate, len(chain))
		for i, c := range chain {
			switch at := slices.IndexFunc(presented, c.Equal); {
			case i > 0 && i == len(chain)-1:
				copied[i] = c // an anchor, which the verifier holds anyway
			case at >= 0:
				copied[i] = presented[at]
			default:
				clone, err := x509.ParseCertificate(bytes.Clone(c.Raw))
				if err != nil {
					return nil, nil, errUnreadableCopy
				}
				copied[i] = clone
				presented = append(presented, clone)
			}
		}
		own = append(own, copied)
	}
	return own, presented, nil
}
