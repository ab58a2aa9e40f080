package follow_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// panicking is a store that panics in one of its methods, or while a file is opened or read.
type panicking struct {
	source.Store
	in    string
	count atomic.Int32
}

func (p *panicking) panics(in string) bool {
	if p.in == in {
		p.count.Add(1)
	}
	return p.in == in
}

func (p *panicking) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	if have != nil && p.count.Load() < 3 && p.panics("Load") {
		panic("a defect")
	}
	g, err := p.Store.Load(ctx, have)
	if err != nil || g == have {
		return g, err
	}
	return source.New(g.Raw, g.Signatures, func(ctx context.Context, f source.File) (io.ReadCloser, error) {
		r, err := g.Open(ctx, f)
		switch {
		case p.count.Load() >= 3 || have == nil:
			return r, err
		case p.panics("Open"):
			panic("a defect")
		case p.panics("Read"):
			return panickingReader{r}, err
		}
		return r, err
	})
}

type panickingReader struct{ io.ReadCloser }

func (panickingReader) Read([]byte) (int, error) { panic("a defect") }

func (p *panicking) Watch(ctx context.Context, have *source.Generation) error {
	if p.panics("Watch") {
		panic("a defect")
	}
	return p.Store.Watch(ctx, have)
}

func (p *panicking) PutReport(ctx context.Context, r source.Report) error {
	if p.panics("PutReport") {
		panic("a defect")
	}
	return p.Store.PutReport(ctx, r)
}

// A panic of the source, which runs in goroutines of the node, is an error like any other: the process goes on, and the
// next generation is put into effect.
// Covers U10.
func TestPanicOfTheSourceIsAnError(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"Load", "Watch", "PutReport", "Open", "Read"} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			s := &panicking{in: in}
			n := newNode(t, 20*time.Millisecond, func(store source.Store) source.Source {
				s.Store = store
				return s
			})
			n.waitFor(n.commit())
			n.waitFor(n.commit())
			if s.count.Load() == 0 {
				t.Error("the source did not panic")
			}
		})
	}
}
