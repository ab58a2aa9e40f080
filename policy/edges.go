package policy

import "github.com/mtlsguard/mtlsguard/internal/workers"

// edgeTable finds the node behind a literal segment. It is a hash table without pointers,
// with linear probing; the operator's rules choose its keys. A map took twice as long.
type edgeTable struct {
	slots []edge // a power of two, at most half full
	len   int
}

// edge is a literal segment below a node, and the node behind it.
type edge struct{ from, segment, to uint32 } // to is 0 in a free slot

// slot returns the slot of an edge, or the free one where it belongs.
func (t *edgeTable) slot(from, segment uint32) *edge {
	hash := (uint64(from)<<32 | uint64(segment)) * 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	for i := hash >> 32; ; i++ {
		if e := &t.slots[i&uint64(len(t.slots)-1)]; e.to == 0 || e.from == from && e.segment == segment {
			return e
		}
	}
}

// find returns the node behind an edge, or 0.
func (t *edgeTable) find(from, segment uint32) uint32 { return t.slot(from, segment).to }

// add adds an edge that is not in the table.
func (t *edgeTable) add(e edge) {
	if t.len++; 2*t.len > len(t.slots) {
		old := t.slots
		t.slots = make([]edge, max(8, 2*len(old)))
		for i, e := range old {
			workers.YieldAt(i)
			if e.to != 0 {
				*t.slot(e.from, e.segment) = e
			}
		}
	}
	*t.slot(e.from, e.segment) = e
}
