package certmap_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestLiveChangesAtOnceAndKeepsTheTableOnError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	live := certmap.NewLive(nil)
	generation := live.Generation()
	step := func(name, want string) {
		t.Helper()
		if got := outcome(t, live, v, "p"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	changed := func(name string, want bool) {
		t.Helper()
		if now := live.Generation(); (now != generation) != want {
			t.Errorf("%s: generation %d, was %d", name, now, generation)
		}
		generation = live.Generation()
	}
	put := func(m certmap.Mapping) {
		t.Helper()
		if err := live.Put(m); err != nil {
			t.Error(err)
		}
	}
	alice := certmap.Mapping{ID: "a", User: "alice", Fingerprint: v.Fingerprint()}
	step("empty", "[unmapped]")
	put(alice)
	step("put", "alice")
	changed("put", true)

	mallory := alice
	mallory.ID, mallory.User = "m", "mallory"
	wantError(t, live.Put(mallory), "for another user")
	wantError(t, live.Put(certmap.Mapping{ID: "z"}), "names no certificate")
	step("bad puts", "alice")
	changed("bad puts", false)

	alice.User = "alice2"
	put(alice)
	step("changed", "alice2")
	alice.Disabled = true
	put(alice)
	step("disabled", "[unmapped]")
	put(certmap.Mapping{ID: "a", User: "bob", SPKI: v.SPKI()}) // another kind with the same id
	step("another kind", "bob")
	changed("changes", true)

	old := live.Table()
	if live.Remove("b") || !live.Remove("a") || live.Remove("a") {
		t.Error("Remove reports whether the mapping was there")
	}
	step("removed", "[unmapped]")
	changed("removed", true)
	if got := outcome(t, old, v, "p"); got != "bob" || len(old.Mappings()) != 1 {
		t.Errorf("the old table: %s", got)
	}
	live.Replace(old)
	step("replaced", "bob")
}

// Random changes to a Live give the same table as New, and do not change its former tables.
func TestLiveEqualsANewTableAfterAnyChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	v := w.leaf(t, subject("CN=u1,OU=o1"), san(attr{tag: 0x86, value: "spiffe://a/u1"}, attr{tag: 0x82, value: "u1"}))
	var reference []certmap.Mapping
	live := certmap.NewLive(nil)
	type past struct {
		table *certmap.Table
		want  []certmap.Mapping
	}
	var before []past
	for i := range 3000 {
		n := r.IntN(4)
		id := fmt.Sprint("m", r.IntN(750))
		at := -1
		for j := range reference {
			if reference[j].ID == id {
				at = j
			}
		}
		if grow := i < 1500; r.IntN(3) > 0 == grow {
			user := fmt.Sprint("u", n)
			m := certmap.Mapping{ID: id, User: user, Issuer: w.key, Disabled: r.IntN(4) == 0}
			switch r.IntN(6) {
			case 0:
				m.Fingerprint, m.Issuer = trust.Digest{byte(n + 1)}, trust.Digest{}
			case 1:
				m.DNS = user
			case 2:
				m.Subject = fmt.Sprintf("CN=u%d,OU=o%d", n, n)
			case 3:
				m.User, m.Subject = "{user}", fmt.Sprintf("CN={user},OU=o%d", n)
			case 4:
				m.User, m.URI = "{user}", "spiffe://a/{user}"
			case 5:
				m.Fingerprint, m.Issuer = v.Fingerprint(), trust.Digest{}
				m.Ports = []string{fmt.Sprint("p", n)}
			}
			if err := live.Put(m); err != nil {
				t.Fatal(err)
			}
			if at >= 0 {
				reference[at] = m
			} else {
				reference = append(reference, m)
			}
		} else {
			if live.Remove(id) != (at >= 0) {
				t.Fatal("Remove")
			}
			if at >= 0 {
				reference = append(reference[:at:at], reference[at+1:]...)
			}
		}
		if i%150 != 0 {
			continue
		}
		before = append(before, past{live.Table(), live.Table().Mappings()})
		fresh := table(t, reference...)
		if got := live.Table().Mappings(); len(got) != len(reference) || len(got) > 0 && !reflect.DeepEqual(got, fresh.Mappings()) {
			t.Fatalf("after %d changes: %d mappings, want %d", i, len(got), len(reference))
		}
		for _, port := range []string{"p0", "p1", "q"} {
			a, errA := live.Map(context.Background(), v, port)
			b, errB := fresh.Map(context.Background(), v, port)
			if a.Source != nil && (a.Source != certmap.Mapper(live) || a.Generation != live.Generation() || b.Source != certmap.Mapper(fresh)) {
				t.Fatalf("after %d changes: %+v and %+v", i, a, b)
			}
			a.Source, a.Generation, b.Source, b.Generation = nil, 0, nil, 0
			if a != b || fmt.Sprint(errA) != fmt.Sprint(errB) {
				t.Fatalf("after %d changes on %s: %+v %v, want %+v %v", i, port, a, errA, b, errB)
			}
		}
	}
	for i, p := range before {
		if !reflect.DeepEqual(p.table.Mappings(), p.want) {
			t.Errorf("the table of change %d was changed afterwards", i*150)
		}
	}
}

func TestReadersOfALiveSeeCompleteChangesOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.leaf(t)
	live := certmap.NewLive(nil)
	if err := live.Put(certmap.Mapping{ID: "a", User: "u", Fingerprint: v.Fingerprint()}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if match, err := live.Map(context.Background(), v, "p"); err != nil || match.User[:1] != "u" {
					t.Errorf("got %+v, %v; want a user u…", match, err)
					return
				}
			}
		})
	}
	for n := range 3 {
		writers.Go(func() {
			for i := range 120 {
				id := fmt.Sprintf("w%d-%d", n, i)
				_ = live.Put(certmap.Mapping{ID: id, User: "x", SPKI: trust.Digest{byte(n), byte(i), byte(i >> 8), 1}})
				_ = live.Put(certmap.Mapping{ID: "a", User: fmt.Sprint("u", i), Fingerprint: v.Fingerprint()})
				if i%2 == 0 && !live.Remove(id) {
					t.Errorf("%s was not there", id)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if n := len(live.Table().Mappings()); n != 1+3*60 {
		t.Errorf("%d mappings", n)
	}
}

// Two tables derived from one do not see each other's changes.
func TestTablesOfOneOriginStayApart(t *testing.T) {
	t.Parallel()
	first := certmap.NewLive(nil)
	for i := range 20 {
		must(0, first.Put(certmap.Mapping{ID: fmt.Sprint(i), User: "u", SPKI: trust.Digest{1, byte(i)}}))
	}
	second := certmap.NewLive(first.Table())
	must(0, first.Put(certmap.Mapping{ID: "x", User: "first", SPKI: trust.Digest{2}}))
	must(0, second.Put(certmap.Mapping{ID: "x", User: "second", SPKI: trust.Digest{2}}))
	for live, want := range map[*certmap.Live]string{first: "first", second: "second"} {
		if all := live.Table().Mappings(); len(all) != 21 || all[20].User != want {
			t.Errorf("%s: got %+v, want %v", want, all[len(all)-1], want)
		}
	}
}

func TestGenerationsDiffer(t *testing.T) {
	t.Parallel()
	a := table(t)
	b := a.WithClock(nil)
	if a.Generation() == 0 || a.Generation() == b.Generation() || (*certmap.Table)(nil).Generation() != 0 {
		t.Errorf("got %d, %d", a.Generation(), b.Generation())
	}
}
