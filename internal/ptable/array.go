package ptable

import "slices"

const (
	pageBits = 9
	pageSize = 1 << pageBits
)

// array is a slice in pages. A changed copy shares the pages that did not change, so a
// change of one element copies one page and the list of pages.
type array[T any] struct{ pages [][]T }

// makeArray returns an array of n zero values.
func makeArray[T any](n int) array[T] {
	var a array[T]
	for ; n > 0; n -= pageSize {
		a.pages = append(a.pages, make([]T, min(n, pageSize)))
	}
	return a
}

func (a *array[T]) len() int {
	if len(a.pages) == 0 {
		return 0
	}
	last := len(a.pages) - 1
	return last<<pageBits + len(a.pages[last])
}

// at returns a pointer to an element. Write through it only to a page of the array's own.
func (a *array[T]) at(i uint32) *T { return &a.pages[i>>pageBits][i&(pageSize-1)] }

// push appends an element. The last page must be the array's own.
func (a *array[T]) push(v T) {
	last := len(a.pages) - 1
	if last < 0 || len(a.pages[last]) == pageSize {
		a.pages = append(a.pages, make([]T, 0, min(pageSize, 8+a.len())))
		last++
	}
	a.pages[last] = append(a.pages[last], v)
}

// fork returns a copy that shares every page.
func (a *array[T]) fork() array[T] { return array[T]{slices.Clone(a.pages)} }

// own copies the page of element i, and returns a pointer to the element in the copy.
func (a *array[T]) own(i uint32) *T {
	page := i >> pageBits
	a.pages[page] = slices.Clone(a.pages[page])
	return a.at(i)
}

// ownLast copies the page that push appends to.
func (a *array[T]) ownLast() {
	if n := len(a.pages); n > 0 {
		a.pages[n-1] = slices.Clone(a.pages[n-1])
	}
}
