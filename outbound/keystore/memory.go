package keystore

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// Memory is a keystore that the program fills. It is safe for concurrent use.
type Memory struct {
	*table
	changing sync.Mutex
}

// NewMemory returns an empty keystore. The clock chooses between several
// certificates of one alias; nil is time.Now.
func NewMemory(now func() time.Time) *Memory { return &Memory{table: newTable(now)} }

// Put makes these the only credentials of their aliases. Several of one alias are
// an overlap, and are given together.
func (m *Memory) Put(all ...*outbound.Credential) error {
	var wrong errorlist.List
	given := credentials{}
	for i, c := range all {
		if c == nil || c.Fingerprint() == "" {
			wrong.Add(configerror.Error{What: fmt.Sprintf("credential %d was not made by outbound.NewCredential", i)})
			continue
		}
		given[c.Alias()] = append(given[c.Alias()], c)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	for _, list := range given {
		newestFirst(list)
	}
	m.change(func(next credentials) { maps.Copy(next, given) })
	return nil
}

// Remove forgets aliases. Their connections take no more calls; they are closed at
// the next call for the alias, which fails, or when they have been idle.
func (m *Memory) Remove(aliases ...string) {
	m.change(func(next credentials) {
		for _, a := range aliases {
			delete(next, a)
		}
	})
}

func (m *Memory) change(how func(credentials)) {
	m.changing.Lock()
	defer m.changing.Unlock()
	next := maps.Clone(*m.all.Load())
	how(next)
	m.all.Store(&next)
}
