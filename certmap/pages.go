package certmap

import "slices"

const (
	pageBits = 9
	pageSize = 1 << pageBits
)

// pages is an array in pages, so that a changed copy of it shares all but the
// pages that changed: a mapping is put into a table of a million in microseconds,
// and who reads the old table reads on.
type pages[T any] struct{ list [][]T }

// makePages returns n zero values.
func makePages[T any](n int) pages[T] {
	var p pages[T]
	for ; n > 0; n -= pageSize {
		p.list = append(p.list, make([]T, min(n, pageSize)))
	}
	return p
}

func (p *pages[T]) len() int {
	if len(p.list) == 0 {
		return 0
	}
	last := len(p.list) - 1
	return last<<pageBits + len(p.list[last])
}

// at points to an element; write through it only to a page that is not shared.
func (p *pages[T]) at(i uint32) *T { return &p.list[i>>pageBits][i&(pageSize-1)] }

// push appends to pages that are not shared.
func (p *pages[T]) push(v T) {
	last := len(p.list) - 1
	if last < 0 || len(p.list[last]) == pageSize {
		p.list = append(p.list, make([]T, 0, min(pageSize, 8+p.len())))
		last++
	}
	p.list[last] = append(p.list[last], v)
}

// fork returns a copy whose list is its own and whose pages are shared: before
// writing to an element, own it.
func (p *pages[T]) fork() pages[T] { return pages[T]{slices.Clone(p.list)} }

// own makes the page of element i the copy's own, and points to the element.
func (p *pages[T]) own(i uint32) *T {
	page := i >> pageBits
	p.list[page] = slices.Clone(p.list[page])
	return p.at(i)
}

// ownLast makes the page that push appends to the copy's own.
func (p *pages[T]) ownLast() {
	if n := len(p.list); n > 0 {
		p.list[n-1] = slices.Clone(p.list[n-1])
	}
}
