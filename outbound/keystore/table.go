package keystore

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
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
// valid it returns the newest, and the transport refuses it with its dates. For an unknown
// alias the error wraps outbound.ErrUnknownAlias and names the known ones.
func (t *table) Credential(alias string) (*outbound.Credential, error) {
	list := t.load()[alias]
	switch len(list) {
	case 0:
		return nil, fmt.Errorf("%w: %s", outbound.ErrUnknownAlias, t.describeAliases())
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

// maxAliases bounds the aliases in an error.
const maxAliases = 10

// describeAliases returns the first aliases, for an error. They are valid aliases, so that
// no text needs an escape.
func (t *table) describeAliases() string {
	var first []string
	all := t.load()
	for alias := range all { // no sort of all: a caller may name unknown aliases often
		i, _ := slices.BinarySearch(first, alias)
		if i < maxAliases {
			first = slices.Insert(first, i, alias)
			first = first[:min(len(first), maxAliases)]
		}
	}
	if len(all) == 0 {
		return "it is empty"
	}
	for i, alias := range first {
		first[i] = strconv.Quote(alias)
	}
	out := "it has " + strings.Join(first, ", ")
	if more := len(all) - len(first); more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
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
