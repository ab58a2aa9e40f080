package keystore

import (
	"cmp"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// credentials holds the credentials by alias, sorted by sortNewestFirst.
type credentials map[string][]*outbound.Credential

// table looks up credentials. Its content is replaced, never changed.
type table struct {
	// Now returns the time that chooses between several certificates of one alias. Nil
	// means time.Now.
	Now func() time.Time

	current atomic.Pointer[credentials]
}

func (t *table) load() credentials {
	if c := t.current.Load(); c != nil {
		return *c
	}
	return nil
}

func (t *table) store(c credentials) { t.current.Store(&c) }

func (t *table) time() time.Time {
	if t.Now != nil {
		return t.Now()
	}
	return time.Now()
}

// Credential implements outbound.Keystore. Of several certificates it returns the valid one
// with the latest NotBefore; one whose intermediates are valid too comes first. If none is
// valid it returns the newest, and the transport refuses it with its dates. It returns outbound.ErrUnknownAlias for an unknown alias.
func (t *table) Credential(alias string) (*outbound.Credential, error) {
	list := t.load()[alias]
	switch len(list) {
	case 0:
		return nil, outbound.ErrUnknownAlias
	case 1:
		return list[0], nil
	}
	now := t.time().Truncate(time.Second) // certificates have whole seconds
	var valid *outbound.Credential
	for _, c := range list {
		leaf := c.Leaf()
		if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
			continue
		}
		if !now.After(c.NotAfter()) {
			return c, nil
		}
		if valid == nil {
			valid = c
		}
	}
	if valid != nil {
		return valid, nil
	}
	return list[0], nil
}

// Aliases returns the known aliases, sorted.
func (t *table) Aliases() []string { return slices.Sorted(maps.Keys(t.load())) }

// Expiring returns the last certificate of each alias whose certificates all expire before
// ahead has passed, soonest first. A certificate expires with its chain: see
// outbound.Credential.NotAfter.
func (t *table) Expiring(ahead time.Duration) []*outbound.Credential {
	at := t.time().Add(ahead)
	byExpiry := func(a, b *outbound.Credential) int { return a.NotAfter().Compare(b.NotAfter()) }
	var out []*outbound.Credential
	for _, list := range t.load() {
		if last := slices.MaxFunc(list, byExpiry); last.NotAfter().Before(at) {
			out = append(out, last)
		}
	}
	slices.SortFunc(out, func(a, b *outbound.Credential) int {
		return cmp.Or(byExpiry(a, b), cmp.Compare(a.Alias(), b.Alias()))
	})
	return out
}

func sortNewestFirst(list []*outbound.Credential) {
	slices.SortStableFunc(list, func(a, b *outbound.Credential) int { return b.Leaf().NotBefore.Compare(a.Leaf().NotBefore) })
}
