package keystore

import (
	"fmt"
	"maps"
	"sync"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// Memory is a keystore that the program fills. The zero value is empty and ready to use. Its
// field Now may be set before the first use. A Memory is safe for concurrent use and must
// not be copied.
type Memory struct {
	table
	changing sync.Mutex
}

// Put sets the credentials of their aliases and replaces the earlier ones. Give several
// credentials of one alias together: the newest valid one is presented. Put returns an
// error, and changes nothing, if a credential was not made by outbound.NewCredential.
func (m *Memory) Put(all ...*outbound.Credential) error {
	var wrong errorlist.List
	given := credentials{}
	for i, c := range all {
		if c == nil || c.Leaf() == nil {
			wrong.Add(configerror.Error{What: fmt.Sprintf("credential %d was not made by outbound.NewCredential", i)})
			continue
		}
		given[c.Alias()] = append(given[c.Alias()], c)
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	for _, list := range given {
		sortNewestFirst(list)
	}
	m.change(func(next credentials) { maps.Copy(next, given) })
	return nil
}

// Remove removes aliases. Their connections take no more calls; they are closed at the next
// call for the alias, which fails, or when they have been idle.
func (m *Memory) Remove(aliases ...string) {
	m.change(func(next credentials) {
		for _, a := range aliases {
			delete(next, a)
		}
	})
}

// change replaces the credentials with a copy that edit has changed.
func (m *Memory) change(edit func(credentials)) {
	m.changing.Lock()
	defer m.changing.Unlock()
	next := credentials{}
	maps.Copy(next, m.load())
	edit(next)
	m.store(next)
}
