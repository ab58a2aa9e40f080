package policy

import (
	"hash/maphash"
	"math/bits"
)

// names numbers strings from 0. It holds two slices without pointers and one
// string, so that the collector has nothing to follow however many there are.
type names struct {
	text  string
	ends  []uint32 // of each name in text
	slots []slot   // open addressing; a power of two, at most half full
}

type slot struct {
	tag uint32 // upper bits of the hash
	id1 uint32 // id + 1; 0 is free
}

// seed is random, so that nobody outside can choose names that collide.
var seed = maphash.MakeSeed()

// nowhere is no id.
const nowhere = ^uint32(0)

func (n *names) len() int { return len(n.ends) }

// at returns the name of an id. It allocates nothing.
func (n *names) at(id uint32) string {
	from := uint32(0)
	if id > 0 {
		from = n.ends[id-1]
	}
	return n.text[from:n.ends[id]]
}

// find returns the id of a name, or nowhere.
func (n *names) find(s string) uint32 {
	if len(n.ends) <= 4 { // comparing so few is sooner done than hashing
		for id := range uint32(len(n.ends)) { // an id
			if n.at(id) == s {
				return id
			}
		}
		return nowhere
	}
	h := maphash.String(seed, s)
	tag, last := uint32(h>>32), uint32(len(n.slots)-1) // the number of slots fits
	for i := uint32(h) & last; ; i = (i + 1) & last {  // the lower half is meant
		sl := n.slots[i]
		if sl.id1 == 0 {
			return nowhere
		}
		if sl.tag == tag && n.at(sl.id1-1) == s {
			return sl.id1 - 1
		}
	}
}

// namer builds names.
type namer struct {
	ids  map[string]uint32
	text []byte
	ends []uint32
}

func newNamer(size int) *namer { return &namer{ids: make(map[string]uint32, size)} }

func (b *namer) id(s string) uint32 {
	if id, ok := b.ids[s]; ok {
		return id
	}
	id := uint32(len(b.ends)) // texts below 4 GiB were checked
	b.ids[s] = id
	b.text = append(b.text, s...)
	b.ends = append(b.ends, uint32(len(b.text))) // texts below 4 GiB were checked
	return id
}

func (b *namer) names() names {
	n := names{text: string(b.text), ends: b.ends}
	if len(b.ends) == 0 {
		return n
	}
	n.slots = make([]slot, 1<<bits.Len(uint(2*len(b.ends)-1)))
	last := uint32(len(n.slots) - 1)      // the number of slots fits
	for id := range uint32(len(b.ends)) { // as above
		h := maphash.String(seed, n.at(id))
		i := uint32(h) & last // the lower half is meant
		for n.slots[i].id1 != 0 {
			i = (i + 1) & last
		}
		n.slots[i] = slot{tag: uint32(h >> 32), id1: id + 1}
	}
	return n
}

// texts is a list of strings in one: like names, but nobody looks for them.
type texts struct {
	text string
	ends []uint32
}

func (t *texts) len() int { return len(t.ends) }

func (t *texts) at(i int) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.text[from:t.ends[i]]
}
