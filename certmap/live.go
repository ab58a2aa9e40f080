package certmap

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Live is a table that changes while serving. Readers take no lock: each Map sees
// one table, before a change or after it. Writers wait for one another. A change
// with a mistake leaves the table in force as it was.
//
// A Live must come from NewLive. It is safe for concurrent use.
type Live struct {
	table  atomic.Pointer[Table]
	change sync.Mutex
}

// NewLive returns a Live with a first table; nil is an empty one.
func NewLive(t *Table) *Live {
	l := new(Live)
	l.Replace(t)
	return l
}

// Table is the table in force.
func (l *Live) Table() *Table { return l.table.Load() }

// Generation is that of the table in force; every change has another.
func (l *Live) Generation() uint64 { return l.Table().Generation() }

// Map asks the current table.
func (l *Live) Map(ctx context.Context, v trust.Verified, port string) (Match, error) {
	m, err := l.Table().Map(ctx, v, port)
	if m.Source != nil {
		m.Source = l // the table stays as it is, and the Live does not
	}
	return m, err
}

// Replace puts another table in force; nil is an empty one.
func (l *Live) Replace(t *Table) {
	l.change.Lock()
	defer l.change.Unlock()
	if t == nil {
		t = newTable(0)
	}
	l.table.Store(t)
}

// Put adds a mapping, or changes the one with its ID, which keeps its place in the
// order. The error holds the mistakes that New would report, conflicts included.
// Mappings that do not change are shared, so it takes some microseconds, whatever
// the number of mappings, and only once in as many changes as there are mappings
// as long as loading them.
func (l *Live) Put(m Mapping) error {
	l.change.Lock()
	defer l.change.Unlock()
	next, err := l.Table().with(&m)
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
	next, removed := l.Table().without(id)
	if removed {
		l.table.Store(next)
	}
	return removed
}
