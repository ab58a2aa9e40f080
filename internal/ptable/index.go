// Package ptable is a persistent hash index: a changed copy shares what did not change.
// One entry of a million is replaced in microseconds, and some thousands in milliseconds,
// while readers of the old index read on without a lock.
package ptable

import "slices"

const (
	pageBits = 9
	pageSize = 1 << pageBits
)

// Ref is what an Index finds. 0 refers to nothing.
type Ref = uint32

// Index finds refs by a hash. Several refs may have one hash: its user compares keys.
// Reading is safe for concurrent use. To change an index, fork it, and change the fork before
// other goroutines use it. The zero value is empty.
//
// It is a table with linear probing, and a slot holds the hash beside the ref. So a search
// for something that is not there reads one line of the cache, and neither growing nor
// removing looks at entries. Slots hold no pointers: the collector never reads them. A page
// has 4 KiB, the largest part that one change copies.
type Index struct {
	pages []*page
	own   []bool // by page: no other index shares it
	slots uint32 // the number of slots in use of all pages
	n     int    // the number of refs
}

type page [pageSize]uint64 // hash<<32 | ref; 0 is free

// New returns an empty index with slots for n refs.
func New(n int) *Index {
	x := new(Index)
	x.resize(n)
	return x
}

// resize makes all slots anew. The index is 70 % full with n refs: 24 bytes a mapping for
// its two indexes, and two or three slots a search.
func (x *Index) resize(n int) {
	x.slots = uint32(max(n+n*3/7, 12))
	x.pages = make([]*page, (int(x.slots)+pageSize-1)>>pageBits)
	x.own = make([]bool, len(x.pages))
	for i := range x.pages {
		x.pages[i], x.own[i] = new(page), true
	}
}

// Len returns the number of refs.
func (x *Index) Len() int { return x.n }

// Fork returns a copy that shares its content with x, for changing.
func (x *Index) Fork() *Index {
	return &Index{pages: slices.Clone(x.pages), own: make([]bool, len(x.pages)), slots: x.slots, n: x.n}
}

// home returns the slot at which a search begins.
func (x *Index) home(hash uint32) uint32 { return uint32(uint64(hash) * uint64(x.slots) >> 32) }

func (x *Index) after(slot uint32) uint32 {
	if slot++; slot == x.slots {
		return 0
	}
	return slot
}

func (x *Index) at(slot uint32) uint64 { return x.pages[slot>>pageBits][slot&(pageSize-1)] }

func (x *Index) set(slot uint32, value uint64) {
	p := slot >> pageBits
	if !x.own[p] {
		changed := *x.pages[p]
		x.pages[p], x.own[p] = &changed, true
	}
	x.pages[p][slot&(pageSize-1)] = value
}

// Insert adds a ref, which must not be 0.
func (x *Index) Insert(hash uint32, ref Ref) {
	if x.n*20 >= int(x.slots)*17 { // 85 % full
		x.grow()
	}
	slot := x.home(hash)
	for x.at(slot) != 0 {
		slot = x.after(slot)
	}
	x.set(slot, uint64(hash)<<32|uint64(ref))
	x.n++
}

func (x *Index) grow() {
	old := *x
	x.resize(x.n + x.n/4 + 1)
	x.n = 0
	for _, p := range old.pages {
		for _, value := range p {
			if value != 0 {
				x.Insert(uint32(value>>32), Ref(value))
			}
		}
	}
}

// Remove removes a ref that was inserted with this hash, and reports whether it was there.
func (x *Index) Remove(hash uint32, ref Ref) bool {
	if x.n == 0 {
		return false
	}
	wanted := uint64(hash)<<32 | uint64(ref)
	hole := x.home(hash)
	for ; x.at(hole) != wanted; hole = x.after(hole) {
		if x.at(hole) == 0 {
			return false
		}
	}
	// A search ends at a free slot: what stands behind the hole moves into it unless its
	// search begins after the hole.
	for slot := x.after(hole); ; slot = x.after(slot) {
		value := x.at(slot)
		if value == 0 {
			break
		}
		if home := x.home(uint32(value >> 32)); x.distance(home, slot) >= x.distance(hole, slot) {
			x.set(hole, value)
			hole = slot
		}
	}
	x.set(hole, 0)
	x.n--
	return true
}

// distance returns how many slots a search goes from one slot to another.
func (x *Index) distance(from, to uint32) uint32 {
	if to < from {
		return to + x.slots - from
	}
	return to - from
}

// Search finds the refs of one hash, in no order:
//
//	for s := x.Search(hash); s.Next(); {
//		… s.Ref
//	}
type Search struct {
	Ref   Ref
	index *Index
	hash  uint32
	slot  uint32 // the next to read
}

// Search begins a search. The index must not be changed until it ends.
func (x *Index) Search(hash uint32) Search {
	return Search{index: x, hash: hash, slot: x.home(hash)}
}

// Next finds the next ref, and returns false if there is none.
func (s *Search) Next() bool {
	x := s.index
	if x.n == 0 {
		return false
	}
	for {
		value := x.at(s.slot)
		if value == 0 {
			return false
		}
		s.slot = x.after(s.slot)
		if uint32(value>>32) == s.hash {
			s.Ref = Ref(value)
			return true
		}
	}
}
