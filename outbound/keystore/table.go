package keystore

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// credentials are by alias, the one that begins last first.
type credentials map[string][]*outbound.Credential

// table answers calls. What it holds is replaced whole.
type table struct {
	now func() time.Time
	all atomic.Pointer[credentials]
}

func newTable(now func() time.Time) *table {
	if now == nil {
		now = time.Now
	}
	t := &table{now: now}
	t.all.Store(&credentials{})
	return t
}

// Credential implements outbound.Keystore. Of several certificates it answers with
// the one in force that began last; where none is in force, with the newest, which
// the transport then refuses with its dates.
func (t *table) Credential(alias string) (*outbound.Credential, error) {
	list := (*t.all.Load())[alias]
	switch len(list) {
	case 0:
		return nil, outbound.ErrUnknownAlias
	case 1:
		return list[0], nil
	}
	now := t.now()
	for _, c := range list {
		if c.InForce(now) {
			return c, nil
		}
	}
	return list[0], nil
}

// Aliases returns the known aliases, sorted.
func (t *table) Aliases() []string { return slices.Sorted(maps.Keys(*t.all.Load())) }

// Expiry is when an alias runs out of certificates.
type Expiry struct {
	Alias       string
	Fingerprint string // of the certificate that lasts longest
	NotAfter    time.Time
}

// Expiring returns the aliases that have no certificate any more in so much time
// from now, soonest first.
func (t *table) Expiring(ahead time.Duration) []Expiry {
	at := t.now().Add(ahead)
	var out []Expiry
	for alias, list := range *t.all.Load() {
		last := slices.MaxFunc(list, func(a, b *outbound.Credential) int { return a.Leaf().NotAfter.Compare(b.Leaf().NotAfter) })
		if last.Leaf().NotAfter.Before(at) {
			out = append(out, Expiry{alias, last.Fingerprint(), last.Leaf().NotAfter})
		}
	}
	slices.SortFunc(out, func(a, b Expiry) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.Alias, b.Alias))
	})
	return out
}

func newestFirst(list []*outbound.Credential) {
	slices.SortStableFunc(list, func(a, b *outbound.Credential) int { return b.Leaf().NotBefore.Compare(a.Leaf().NotBefore) })
}
