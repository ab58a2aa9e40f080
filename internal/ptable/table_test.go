package ptable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

type item struct{ id, key int }

// model is the list that a table must equal.
type model []item

func check(t *testing.T, name string, table *Table[item], want model) {
	t.Helper()
	var got model
	last := Ref(0)
	for r, e := range table.All() {
		if r <= last {
			t.Fatalf("%s: ref %d after %d", name, r, last)
		}
		last = r
		got = append(got, *e)
		if *table.At(r) != *e {
			t.Fatalf("%s: At(%d) is %v, want %v", name, r, *table.At(r), *e)
		}
	}
	if table.Len() != len(want) || !slices.Equal(got, want) {
		t.Fatalf("%s: %d entries %v, want %v", name, table.Len(), got, want)
	}
	for i, e := range want {
		if found := findID(table, e.id); found == 0 || *table.At(found) != want[i] {
			t.Fatalf("%s: the id %d is found at %d", name, e.id, found)
		}
		if got, want := keysOf(table, e.key), keysIn(want, e.key); !slices.Equal(got, want) {
			t.Fatalf("%s: of key %d: %v, want %v", name, e.key, got, want)
		}
	}
}

// hash makes slots and hashes collide: a table of a few slots holds many of each.
func hash(n int) uint32 { return uint32(n % 13) }

func findID(t *Table[item], id int) Ref {
	for r := t.FirstOfID(hash(id)); r != 0; r = t.NextOfID(r) {
		if t.At(r).id == id {
			return r
		}
	}
	return 0
}

func keysOf(t *Table[item], key int) (ids []int) {
	for r := t.FirstOfKey(hash(key)); r != 0; r = t.NextOfKey(r) {
		if t.At(r).key == key {
			ids = append(ids, t.At(r).id)
		}
	}
	slices.Sort(ids)
	return ids
}

func keysIn(m model, key int) (ids []int) {
	for _, e := range m {
		if e.key == key {
			ids = append(ids, e.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// A table equals a plain list after any change, and a fork does not change its origin.
func TestTableEqualsAListAndForksStayApart(t *testing.T) {
	t.Parallel()
	type past struct {
		table *Table[item]
		want  model
	}
	r := rand.New(rand.NewPCG(5, 6))
	table, want := New[item](0), model(nil)
	var before []past
	for i := range 2000 {
		if i%29 == 0 {
			before = append(before, past{table, slices.Clone(want)})
			table = table.Fork()
		}
		id, key := r.IntN(600), r.IntN(40)
		at := slices.IndexFunc(want, func(e item) bool { return e.id == id })
		switch grow := i < 1000 || r.IntN(4) == 0; {
		case grow && at < 0:
			table.Push(item{id, key}, hash(key), hash(id))
			want = append(want, item{id, key})
		case grow:
			table.Replace(findID(table, id), item{id, key}, hash(key))
			want[at] = item{id, key}
		case at >= 0:
			table.Remove(findID(table, id))
			want = slices.Delete(want, at, at+1)
		}
		if i%7 == 0 {
			table = table.Fork()
		}
		if i%100 == 0 {
			check(t, fmt.Sprint("change ", i), table, want)
		}
		if i%500 == 499 {
			table = table.Compact()
			check(t, fmt.Sprint("compacted at ", i), table, want)
		}
	}
	for i, p := range before {
		check(t, fmt.Sprint("fork ", i), p.table, p.want)
	}
}

func TestCompactKeepsChainsShortAndDropsRemovedEntries(t *testing.T) {
	t.Parallel()
	table := New[item](0) // 8 slots
	push := func(n int) {
		for range n {
			id := table.nodes.len()
			table.Push(item{id, id}, uint32(id), uint32(id))
		}
	}
	push(16)
	if table.Compact() != table {
		t.Error("a table with two entries a slot was rebuilt")
	}
	push(1)
	larger := table.Compact()
	if larger == table || larger.slots < 32 || larger.Len() != 17 {
		t.Errorf("%d slots for %d entries", larger.slots, larger.Len())
	}
	table = New[item](10_000)
	push(pageSize + 100)
	for r := Ref(1); r <= pageSize+50; r++ { // 50 are left: 612 nodes are at most 2*50 + a page
		table.Remove(r)
	}
	if table.Compact() != table {
		t.Error("a table was rebuilt too early")
	}
	table.Remove(pageSize + 51)
	if smaller := table.Compact(); smaller == table || smaller.nodes.len() != 49 || smaller.Len() != 49 {
		t.Errorf("%d nodes for %d entries", smaller.nodes.len(), smaller.Len())
	}
}

func TestArrayGrowsByPages(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, pageSize - 1, pageSize, pageSize + 1, 3 * pageSize} {
		a := makeArray[int](n)
		if a.len() != n {
			t.Errorf("makeArray(%d) has %d elements", n, a.len())
		}
	}
	var a array[int]
	for i := range 2*pageSize + 1 {
		a.push(i)
		if a.len() != i+1 || *a.at(uint32(i)) != i {
			t.Fatalf("element %d", i)
		}
	}
	if len(a.pages) != 3 {
		t.Errorf("%d pages", len(a.pages))
	}
	b := a.fork()
	*b.own(0) = -1
	b.ownLast()
	b.push(7)
	if *a.at(0) != 0 || *b.at(0) != -1 || a.len() != 2*pageSize+1 || b.len() != a.len()+1 {
		t.Errorf("the fork changed its origin: %d, %d", *a.at(0), a.len())
	}
}
