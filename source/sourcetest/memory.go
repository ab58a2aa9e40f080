package sourcetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/mtlsguard/mtlsguard/source"
)

// Memory is a store in memory, for tests. It is safe for concurrent use.
type Memory struct {
	fleet string

	mu      sync.Mutex // guards the fields below
	all     []*source.Generation
	blobs   map[source.Digest][]byte
	reports map[string]source.Report
	news    chan struct{} // closed when something changes
	down    error
}

// NewMemory returns an empty store of a fleet.
func NewMemory(fleet string) *Memory {
	return &Memory{fleet: fleet, blobs: map[source.Digest][]byte{}, reports: map[string]source.Report{}, news: make(chan struct{})}
}

// Break makes every call fail with err, as if the store could not be reached. nil ends that.
func (m *Memory) Break(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
	m.wake()
}

// wake ends all watches. The caller holds m.mu.
func (m *Memory) wake() {
	close(m.news)
	m.news = make(chan struct{})
}

// newest returns the newest generation, or nil. The caller holds m.mu.
func (m *Memory) newest() *source.Generation {
	if len(m.all) == 0 {
		return nil
	}
	return m.all[len(m.all)-1]
}

// Load implements source.Source.
func (m *Memory) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.newest()
	switch {
	case cmp.Or(m.down, ctx.Err()) != nil:
		return nil, cmp.Or(m.down, ctx.Err())
	case g == nil:
		return nil, source.ErrNone
	case g.Same(have):
		return have, nil
	}
	return g, nil
}

// Watch implements source.Source.
func (m *Memory) Watch(ctx context.Context, have *source.Generation) error {
	for {
		m.mu.Lock()
		g, news, down := m.newest(), m.news, m.down
		m.mu.Unlock()
		if down != nil {
			return down
		}
		if g != nil && !g.Same(have) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		}
	}
}

// Commit implements source.Store.
func (m *Memory) Commit(ctx context.Context, g *source.Generation) error {
	if g.Manifest.Fleet != m.fleet {
		return fmt.Errorf("the store is of fleet %q, and the generation of fleet %q", m.fleet, g.Manifest.Fleet)
	}
	blobs := map[source.Digest][]byte{}
	for _, f := range g.Blobs() {
		data, err := g.ReadFile(ctx, f)
		if err != nil {
			return err
		}
		blobs[f.SHA256] = data
	}
	stored, err := source.New(g.Raw, g.Signatures, m.open)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case cmp.Or(m.down, ctx.Err()) != nil:
		return cmp.Or(m.down, ctx.Err())
	case !g.Follows(m.newest()):
		return source.ErrConflict
	}
	for digest, data := range blobs {
		m.blobs[digest] = data
	}
	m.all = append(m.all, stored)
	m.wake()
	return nil
}

// open is the source.OpenFunc of the store.
func (m *Memory) open(_ context.Context, f source.File) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.blobs[f.SHA256]
	switch {
	case m.down != nil:
		return nil, m.down
	case !ok:
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// History implements source.Store.
func (m *Memory) History(_ context.Context, before uint64, n int) ([]source.Manifest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []source.Manifest
	for _, g := range slices.Backward(m.all) {
		if len(out) < n && (before == 0 || g.Manifest.Number < before) {
			out = append(out, g.Manifest)
		}
	}
	return out, m.down
}

// At implements source.Store.
func (m *Memory) At(_ context.Context, number uint64) (*source.Generation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return nil, m.down
	}
	if number == 0 || number > uint64(len(m.all)) {
		return nil, source.ErrNone
	}
	return m.all[number-1], nil
}

// PutReport implements source.Store.
func (m *Memory) PutReport(_ context.Context, r source.Report) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.reports[r.Node] = r
	}
	return m.down
}

// Reports implements source.Store.
func (m *Memory) Reports(context.Context) ([]source.Report, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []source.Report
	for _, r := range m.reports {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b source.Report) int { return strings.Compare(a.Node, b.Node) })
	return out, m.down
}
