package forwarded

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/trust"
)

const (
	defaultCacheSize = 4096             // certificates
	maxCacheBytes    = 16 * 1024 * 1024 // of header values
	maxCacheAge      = 10 * time.Minute
	// maxTextsPerLeaf bounds the header values that are cached for one leaf. The client
	// chooses the issuers that its gateway forwards, and must not fill the cache with them.
	maxTextsPerLeaf = 4
	// entryBytes estimates the memory of an entry beside its header values.
	entryBytes = 512
)

// cache remembers verified certificates by the header value that holds the leaf. It holds
// certificates that a gateway forwarded and Users verified, so strangers cannot fill it.
type cache struct {
	entries *expire.Cache[*cacheEntry]

	mu    sync.Mutex              // guards changes
	texts *expire.Cache[[]string] // the keys of entries, by the leaf's fingerprint
}

type cacheEntry struct {
	chain    string // the header value that holds the issuers
	verified trust.Verified
}

// newCache returns a cache for size certificates; 0 means defaultCacheSize.
func newCache(size int) *cache {
	if size == 0 {
		size = defaultCacheSize
	}
	return &cache{entries: expire.NewSized[*cacheEntry](size, maxCacheBytes, maxCacheAge), texts: expire.New[[]string](size, maxCacheAge)}
}

// get returns the certificate for exactly these header values.
func (c *cache) get(raw RawCertificate) (trust.Verified, bool) {
	e, ok := c.entries.Get(raw.cert)
	if !ok || e.chain != raw.chain {
		return trust.Verified{}, false
	}
	return e.verified, true
}

// put adds a verified certificate. It copies the header values, so that the cache does
// not keep a request in memory.
func (c *cache) put(raw RawCertificate, verified trust.Verified) {
	fingerprint := verified.Fingerprint()
	leaf := string(fingerprint[:])
	text := strings.Clone(raw.cert)
	c.mu.Lock()
	defer c.mu.Unlock()
	texts, _ := c.texts.Get(leaf)
	if !slices.Contains(texts, text) {
		if len(texts) >= maxTextsPerLeaf {
			c.entries.Delete(texts[0])
			texts = texts[1:]
		}
		texts = append(slices.Clone(texts), text)
	}
	c.texts.Put(leaf, texts)
	c.entries.PutSized(text, &cacheEntry{chain: strings.Clone(raw.chain), verified: verified}, entryBytes+len(raw.cert)+len(raw.chain))
}
