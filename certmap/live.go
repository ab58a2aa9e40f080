package certmap

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Live holds the table that is in effect, and changes it while requests are served. Each
// Map reads one table without a lock: the one before a change, or the one after it. A change
// with an error leaves the table as it was.
//
// A Live must come from NewLive. It is safe for concurrent use.
type Live struct {
	table  atomic.Pointer[Table]
	change sync.Mutex
}

// NewLive returns a Live with a first table. A nil table is an empty one.
func NewLive(t *Table) *Live {
	l := new(Live)
	l.Replace(t)
	return l
}

// Table returns the table that is in effect.
func (l *Live) Table() *Table { return l.table.Load() }

// Generation returns the generation of the table that is in effect. Every change gives
// another one.
func (l *Live) Generation() uint64 { return l.Table().Generation() }

// Map finds the user by the table that is in effect, as Table.Map does.
func (l *Live) Map(ctx context.Context, v trust.Verified, port string) (Match, error) {
	m, err := l.Table().Map(ctx, v, port)
	if m.Source != nil {
		m.Source = l // the Live changes, the table does not
	}
	return m, err
}

// Replace puts another table into effect. A nil table is an empty one.
func (l *Live) Replace(t *Table) {
	l.change.Lock()
	defer l.change.Unlock()
	if t == nil {
		t = newTable(0)
	}
	l.table.Store(t)
}

// Put adds a mapping, or changes the mapping with its ID, which keeps its place in the
// order. The error holds what New would report, conflicts included. Put takes some
// microseconds whatever the number of mappings, because the tables share the mappings that
// do not change. Once in about as many changes as there are mappings it lays out the table
// anew, which takes as long as loading it.
func (l *Live) Put(m Mapping) error {
	l.change.Lock()
	defer l.change.Unlock()
	next, err := l.Table().put(&m)
	if err != nil {
		return err
	}
	l.table.Store(next)
	return nil
}

// Remove removes the mapping with an ID, and reports whether it was there.
func (l *Live) Remove(id string) bool {
	l.change.Lock()
	defer l.change.Unlock()
	next, removed := l.Table().remove(id)
	if removed {
		l.table.Store(next)
	}
	return removed
}
