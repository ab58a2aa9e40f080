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
	cacheBytes = 32 << 20 // of their chains, as size estimates them
	cacheTime  = 10 * time.Minute
	// cacheChains is how many sets of chains are kept for one leaf: a leaf may be sent
	// with one set of issuers today and with another tomorrow.
	cacheChains = 4
)

// cache keeps judgements by their leaf.
type cache struct {
	mu      sync.Mutex // of changes
	entries *expire.Cache[[]*result]
}

func newCache() *cache {
	return &cache{entries: expire.NewSized[[]*result](cacheSize, cacheBytes, cacheTime)}
}

// find returns the judgement of exactly the chains that these certificates make, or
// nil. It may have ended.
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

// answers reports whether b is the judgement of what was presented: every issuer of
// its chains is there, and nothing else that could be the issuer of one of them.
// Certificates that lead nowhere do not count, so that they cannot make more entries.
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

// Remember keeps a judgement of v's own, so that Verify need not repeat it. It must be
// called only when the client has shown that it holds the leaf's key: after the
// finished handshake, or on the word of an authenticated gateway. Everybody can send
// the certificates of somebody else.
//
// What is kept is bounded by count and by bytes, holds no memory of a handshake's
// messages, and is forgotten after ten minutes.
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
	if i := slices.IndexFunc(all, same); i >= 0 && !all[i].until.Before(b.until) {
		return // the first stays, so that what is remembered of it elsewhere stays too
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

// size estimates the memory of a judgement: the DER, what was parsed of it, and the
// structures around. The anchors are the verifier's.
func (b *result) size() int {
	const parsed = 4 << 10
	n := parsed
	for _, c := range b.presented {
		n += parsed + 2*len(c.Raw)
	}
	return n
}

var errUnreadableCopy = errors.New("trust: a certificate that was read once cannot be read again")

// ownChains returns chains of copies, and the certificates in them that were presented,
// leaf first. A certificate of crypto/tls points into the message that it came in,
// which is as large as whoever sent it liked.
func (v *Verifier) copyChains(chains [][]*x509.Certificate) (own [][]*x509.Certificate, presented []*x509.Certificate, err error) {
	for _, chain := range chains {
		copied := make([]*x509.Certificate, len(chain))
		for i, c := range chain {
			switch at := slices.IndexFunc(presented, c.Equal); {
			case i > 0 && i == len(chain)-1:
				copied[i] = c // an anchor, the verifier's own
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
