package e2e

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// A node whose last generation does not load, or is damaged, takes nothing from the source that
// a running node would refuse.
// Covers S2.
func TestStartTakesNoStepBack(t *testing.T) {
	t.Parallel()
	damage := func(f *fleet) {
		for _, name := range []string{"000001", "000002"} {
			if err := os.WriteFile(f.path("keep/gen/"+name+"/MANIFEST"), []byte("{"), 0o600); err != nil {
				f.Fatal(err)
			}
		}
	}
	for _, x := range []struct {
		name    string
		prepare func(*fleet)
		head    func(f *fleet, first, second *source.Generation) *source.Generation
		want    string // the answer to alice, or a part of the error
	}{
		{"another generation of the same number", unchangedKeep, func(f *fleet, first, _ *source.Generation) *source.Generation {
			return f.next(first, source.Manifest{Note: "another"}, "users.yaml", usersFor("eve"))
		}, "200 one"}, // the older one in keep
		{"another parent", unchangedKeep, func(f *fleet, first, _ *source.Generation) *source.Generation {
			return f.next(f.next(first, source.Manifest{Note: "another"}), source.Manifest{}, "users.yaml", usersFor("eve"))
		}, "200 one"},
		{"the next one", unchangedKeep, func(f *fleet, _, second *source.Generation) *source.Generation {
			return f.next(second, source.Manifest{}, "users.yaml", usersFor("three"))
		}, "200 three"},
		{"a lower number, and all in keep are damaged", damage, func(_ *fleet, first, _ *source.Generation) *source.Generation { return first }, "generation 2 was in effect here"},
		{"the same one, and all in keep are damaged", damage, func(f *fleet, _, second *source.Generation) *source.Generation {
			f.sub("mtlsguard.yaml", "name: public", "name: partners") // it loads again
			return second
		}, "200 alice"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			f.breakKept()
			first, err := f.store.At(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			x.prepare(f)
			store := &hostile{}
			store.set(x.head(f, first, f.newest))
			if !strings.HasPrefix(x.want, "200 ") {
				_, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{Source: store})
				if err == nil || !strings.Contains(err.Error(), x.want) {
					t.Fatalf("%v, want %q", err, x.want)
				}
				return
			}
			l := f.site.start(mtlsguard.Options{Source: store})
			url := l.url("internal", "/whoami")
			if got := get(f.client(f.alice), url); got != x.want {
				t.Errorf("%s, want %s", got, x.want)
			}
			if x.want != "200 one" {
				return
			}
			testkit.Eventually(t, "the running node to refuse it too", func() bool {
				return l.server.Status().Source.Refused == store.head.Manifest.Number
			})
			if got := get(f.client(f.alice), url); got != x.want {
				t.Errorf("later: %s, want %s", got, x.want)
			}
		})
	}
}

// unchangedKeep leaves keep as it is: its last generation does not load.
func unchangedKeep(*fleet) {}

// restless is a source whose watches end soon, and whose answer is another one each time.
type restless struct {
	loads  atomic.Int64
	waits  time.Duration // each watch
	answer func(n int64) *source.Generation
}

func (r *restless) Load(context.Context, *source.Generation) (*source.Generation, error) {
	return r.answer(r.loads.Add(1)), nil
}

func (r *restless) Watch(ctx context.Context, _ *source.Generation) error {
	select {
	case <-ctx.Done():
	case <-time.After(r.waits):
	}
	return ctx.Err()
}

// A source that mixes the generation in effect with others, or with signatures that anybody can
// add, does not make a node write and log all the time.
// Covers S5.
func TestRestlessSourceIsPolledSlowly(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]func(f *fleet, first *source.Generation) func(n int64) *source.Generation{
		"other signatures": func(f *fleet, first *source.Generation) func(n int64) *source.Generation {
			return func(n int64) *source.Generation {
				more := source.Signature{Key: source.DigestOf([]byte{byte(n), byte(n >> 8)}), Value: []byte{1}}
				g, _ := source.New(first.Raw, append(first.Signatures[:1:1], more), openOf(first))
				return g
			}
		},
		"a bad generation in between": func(f *fleet, first *source.Generation) func(n int64) *source.Generation {
			_, key, _ := ed25519.GenerateKey(nil)
			bad, _ := unsigned(f, f.next(first, source.Manifest{})).Sign(key)
			return func(n int64) *source.Generation {
				if n%2 == 0 {
					return bad
				}
				return first
			}
		},
	} {
		for _, waits := range []time.Duration{0, 60 * time.Millisecond} {
			t.Run(fmt.Sprint(name, ", each watch ", waits), func(t *testing.T) {
				t.Parallel()
				f := newFleet(t)
				store := &restless{waits: waits}
				store.answer = answers(f, f.next(nil, source.Manifest{}))
				l := f.site.start(mtlsguard.Options{Source: store})
				before := store.loads.Load()
				began := time.Now()
				testkit.Eventually(t, "five more answers", func() bool { return store.loads.Load() >= before+5 })
				// The pauses between them are 0.1, 0.2, 0.4 and 0.8 s at least.
				if took := time.Since(began); took < time.Second {
					t.Errorf("five answers within %v", took)
				}
				if s := l.server.Status().Source; s.Number != 1 || !s.Connected {
					t.Errorf("status: %+v", s)
				}
			})
		}
	}
}
