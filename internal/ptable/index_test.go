package ptable

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is the map that an index must equal.
type model map[uint32][]Ref

func check(t *testing.T, name string, x *Index, want model, hashes []uint32) {
	t.Helper()
	n := 0
	for _, hash := range hashes {
		var got []Ref
		for s := x.Search(hash); s.Next(); {
			got = append(got, s.Ref)
		}
		slices.Sort(got)
		n += len(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want[hash]))) {
			t.Fatalf("%s: hash %d finds %v, want %v", name, hash, got, want[hash])
		}
	}
	if x.Len() != n {
		t.Fatalf("%s: Len is %d, want %d", name, x.Len(), n)
	}
}

// Random changes to forks of forks give what a map holds, and do not change the indexes that
// they were forked from. Few hashes at both ends make long runs that go around the end.
func TestIndexEqualsAMapAndForksShareNoChange(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 30 {
		var hashes []uint32
		for range 1 + r.IntN(300) {
			h := r.Uint32()
			if r.IntN(3) == 0 {
				h = ^uint32(0) - uint32(r.IntN(4))
			}
			hashes = append(hashes, h)
		}
		slices.Sort(hashes)
		hashes = slices.Compact(hashes)
		type version struct {
			index *Index
			want  model
		}
		versions := []version{{New(r.IntN(40)), model{}}}
		next := Ref(0)
		for range 20 {
			from := versions[r.IntN(len(versions))]
			fork, want := from.index.Fork(), model{}
			for h, refs := range from.want {
				want[h] = slices.Clone(refs)
			}
			for range r.IntN(200) {
				h := hashes[r.IntN(len(hashes))]
				if refs := want[h]; len(refs) > 0 && r.IntN(5) < 2 {
					i := r.IntN(len(refs))
					if !fork.Remove(h, refs[i]) || fork.Remove(h, refs[i]) {
						t.Fatal("Remove reports whether the ref was there")
					}
					want[h] = slices.Delete(refs, i, i+1)
					continue
				}
				next++
				fork.Insert(h, next)
				want[h] = append(want[h], next)
			}
			versions = append(versions, version{fork, want})
		}
		for i, v := range versions {
			check(t, fmt.Sprintf("round %d, version %d", round, i), v.index, v.want, hashes)
		}
	}
}

func TestEmptyIndex(t *testing.T) {
	t.Parallel()
	var zero Index
	for s := zero.Search(1); s.Next(); {
		t.Error("an empty index finds something")
	}
	x := New(0)
	if zero.Remove(1, 1) || x.Remove(1, 1) || x.Len() != 0 {
		t.Error("an empty index removes something")
	}
}

// BenchmarkChange changes one ref of a million, and the 4,000 of a segment.
func BenchmarkChange(b *testing.B) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(5, 6))
	x, hashes := New(n), make([]uint32, n)
	for i := range hashes {
		hashes[i] = r.Uint32()
		x.Insert(hashes[i], Ref(i+1))
	}
	for _, changes := range []int{1, 4000} {
		b.Run(fmt.Sprint(changes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fork := x.Fork()
				for i := range changes {
					fork.Remove(hashes[i], Ref(i+1))
					fork.Insert(hashes[i], Ref(i+1))
				}
			}
		})
	}
}
