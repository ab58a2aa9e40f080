// Package ptable is a persistent hash table: a changed copy shares what did not change.
// One entry of a million is replaced in microseconds, while readers of the old table read
// on without a lock.
//
// Each entry has two hashes, of its key and of its id, and can be found by either. Several
// entries may have one key. The table compares only hashes; its user compares keys.
package ptable

import (
	"iter"
	"math"
	"math/bits"
)

// Table holds entries in the order in which they were pushed. Reading is safe for
// concurrent use. To change a table, fork it, and change the fork before other goroutines
// use it. A Table must come from New or Fork.
type Table[E any] struct {
	nodes array[node[E]]
	byKey array[uint32] // the first entry of each slot, as a Ref
	byID  array[uint32]
	slots uint32 // a power of two
	live  int
	owned bool // no page is shared with another table
}

type node[E any] struct {
	entry           E
	keyHash, idHash uint32
	nextKey, nextID uint32 // the next entry in the same slot, as a Ref
}

// Ref refers to an entry. It stays the same in forks, until Compact. Entries pushed later
// have greater ones. 0 refers to nothing.
type Ref = uint32

// removed marks a node whose entry was removed. No chain leads to such a node.
const removed = math.MaxUint32

// New returns an empty table with slots for n entries.
func New[E any](n int) *Table[E] {
	slots := uint32(1) << bits.Len(uint(max(n, 8)-1))
	return &Table[E]{byKey: makeArray[uint32](int(slots)), byID: makeArray[uint32](int(slots)), slots: slots, owned: true}
}

// Len returns the number of entries, without those removed.
func (t *Table[E]) Len() int { return t.live }

// All returns the entries in their order, without those removed. An entry must not be
// changed through the pointer.
func (t *Table[E]) All() iter.Seq2[Ref, *E] {
	return func(yield func(Ref, *E) bool) {
		r := Ref(0)
		for _, page := range t.nodes.pages {
			for i := range page {
				if r++; page[i].nextKey != removed && !yield(r, &page[i].entry) {
					return
				}
			}
		}
	}
}

// At returns an entry, which must not be changed through the pointer.
func (t *Table[E]) At(r Ref) *E { return &t.nodes.at(r - 1).entry }

// FirstOfKey returns an entry whose key has this hash, or 0.
func (t *Table[E]) FirstOfKey(hash uint32) Ref {
	return t.skipOtherKeys(*t.byKey.at(hash & (t.slots - 1)), hash)
}

// NextOfKey returns another entry whose key has the same hash, or 0.
func (t *Table[E]) NextOfKey(r Ref) Ref {
	n := t.nodes.at(r - 1)
	return t.skipOtherKeys(n.nextKey, n.keyHash)
}

func (t *Table[E]) skipOtherKeys(r Ref, hash uint32) Ref {
	for r != 0 {
		n := t.nodes.at(r - 1)
		if n.keyHash == hash {
			break
		}
		r = n.nextKey
	}
	return r
}

// FirstOfID returns an entry whose id has this hash, or 0.
func (t *Table[E]) FirstOfID(hash uint32) Ref {
	return t.skipOtherIDs(*t.byID.at(hash & (t.slots - 1)), hash)
}

// NextOfID returns another entry whose id has the same hash, or 0.
func (t *Table[E]) NextOfID(r Ref) Ref {
	n := t.nodes.at(r - 1)
	return t.skipOtherIDs(n.nextID, n.idHash)
}

func (t *Table[E]) skipOtherIDs(r Ref, hash uint32) Ref {
	for r != 0 {
		n := t.nodes.at(r - 1)
		if n.idHash == hash {
			break
		}
		r = n.nextID
	}
	return r
}

// KeyHash returns the hash of an entry's key.
func (t *Table[E]) KeyHash(r Ref) uint32 { return t.nodes.at(r - 1).keyHash }

// Fork returns a copy that shares its content with t, for changing.
func (t *Table[E]) Fork() *Table[E] {
	other := *t
	other.nodes, other.byKey, other.byID, other.owned = t.nodes.fork(), t.byKey.fork(), t.byID.fork(), false
	return &other
}

// Push adds an entry behind the others.
func (t *Table[E]) Push(entry E, keyHash, idHash uint32) {
	if !t.owned {
		t.nodes.ownLast()
	}
	t.nodes.push(node[E]{entry: entry, keyHash: keyHash, idHash: idHash})
	r := Ref(t.nodes.len())
	t.linkKey(r)
	slot := t.own(&t.byID, idHash)
	t.nodes.at(r-1).nextID, *slot = *slot, r
	t.live++
}

// Replace puts an entry with the same id in the place of another.
func (t *Table[E]) Replace(r Ref, entry E, keyHash uint32) {
	t.unlinkKey(r)
	n := t.ownNode(r)
	n.entry, n.keyHash = entry, keyHash
	t.linkKey(r)
}

// Remove removes an entry.
func (t *Table[E]) Remove(r Ref) {
	t.unlinkKey(r)
	t.unlinkID(r)
	*t.ownNode(r) = node[E]{nextKey: removed, nextID: removed}
	t.live--
}

func (t *Table[E]) own(slots *array[uint32], hash uint32) *Ref {
	slot := hash & (t.slots - 1)
	if t.owned {
		return slots.at(slot)
	}
	return slots.own(slot)
}

func (t *Table[E]) ownNode(r Ref) *node[E] {
	if t.owned {
		return t.nodes.at(r - 1)
	}
	return t.nodes.own(r - 1)
}

// linkKey links a node of the table's own into the chain of its key.
func (t *Table[E]) linkKey(r Ref) {
	n := t.nodes.at(r - 1)
	slot := t.own(&t.byKey, n.keyHash)
	n.nextKey, *slot = *slot, r
}

// unlinkKey takes a node out of the chain of its key.
func (t *Table[E]) unlinkKey(r Ref) {
	n := t.nodes.at(r - 1)
	at := *t.byKey.at(n.keyHash & (t.slots - 1))
	if at == r {
		*t.own(&t.byKey, n.keyHash) = n.nextKey
		return
	}
	for ; at != 0; at = t.nodes.at(at - 1).nextKey {
		if t.nodes.at(at-1).nextKey == r {
			t.ownNode(at).nextKey = n.nextKey
			return
		}
	}
}

// unlinkID takes a node out of the chain of its id.
func (t *Table[E]) unlinkID(r Ref) {
	n := t.nodes.at(r - 1)
	at := *t.byID.at(n.idHash & (t.slots - 1))
	if at == r {
		*t.own(&t.byID, n.idHash) = n.nextID
		return
	}
	for ; at != 0; at = t.nodes.at(at - 1).nextID {
		if t.nodes.at(at-1).nextID == r {
			t.ownNode(at).nextID = n.nextID
			return
		}
	}
}

// Compact returns t, or the same table laid out anew if its chains have grown long or most
// of its entries are removed. Laying out costs as much as pushing every entry, and is needed
// once in about as many changes as there are entries.
func (t *Table[E]) Compact() *Table[E] {
	n := t.nodes.len()
	if n <= 2*int(t.slots) && n <= 2*t.live+pageSize {
		return t
	}
	next := New[E](2 * t.live)
	for r := range t.All() {
		n := t.nodes.at(r - 1)
		next.Push(n.entry, n.keyHash, n.idHash)
	}
	return next
}
