package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// hostile is a source whose generations the test sets, valid or not.
type hostile struct {
	mu   sync.Mutex
	head *source.Generation
	news chan struct{}
}

func (h *hostile) set(g *source.Generation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.news != nil {
		close(h.news)
	}
	h.head, h.news = g, make(chan struct{})
}

func (h *hostile) Load(context.Context, *source.Generation) (*source.Generation, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.head, nil
}

func (h *hostile) Watch(ctx context.Context, have *source.Generation) error {
	h.mu.Lock()
	head, news := h.head, h.news
	h.mu.Unlock()
	if !head.Same(have) {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-news:
		return nil
	}
}

// Whatever a running node gets from a store, the last good generation stays in effect, and the
// status has the reason. The next good one takes effect.
func TestHostileStore(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		bad  func(f *fleet, now *source.Generation) *source.Generation
		want string
	}{
		{"without a signature", func(f *fleet, now *source.Generation) *source.Generation {
			return unsigned(f, f.next(now, source.Manifest{}))
		}, "no signature of the manifest is by a trusted signer"},
		{"by another signer", func(f *fleet, now *source.Generation) *source.Generation {
			_, key, _ := ed25519.GenerateKey(nil)
			g, _ := unsigned(f, f.next(now, source.Manifest{})).Sign(key)
			return g
		}, "no signature of the manifest is by a trusted signer"},
		{"a changed manifest under an old signature", func(f *fleet, now *source.Generation) *source.Generation {
			g := f.next(now, source.Manifest{})
			changed, _ := source.New(bytes.Replace(g.Raw, []byte("anna"), []byte("eve!"), 1), g.Signatures, openOf(g))
			return changed
		}, "no signature of the manifest is by a trusted signer"},
		{"of another fleet", func(f *fleet, _ *source.Generation) *source.Generation {
			first := f.next(nil, source.Manifest{Fleet: "payments"})
			return f.next(f.next(first, source.Manifest{Fleet: "payments"}), source.Manifest{Fleet: "payments"}, "users.yaml", usersFor("eve"))
		}, `generation 3 of fleet "payments", and fleet "orders" is in effect`},
		{"a lower number", func(f *fleet, _ *source.Generation) *source.Generation {
			return f.next(nil, source.Manifest{}, "users.yaml", usersFor("eve"))
		}, "the source went back from generation 2 to 1"},
		{"the same number with other content", func(f *fleet, now *source.Generation) *source.Generation {
			return f.next(f.next(nil, source.Manifest{}), source.Manifest{Note: "another"}, "users.yaml", usersFor("eve"))
		}, "the source has another generation 2"},
		{"another parent", func(f *fleet, _ *source.Generation) *source.Generation {
			return f.next(f.next(f.next(nil, source.Manifest{}), source.Manifest{Note: "another"}), source.Manifest{}, "users.yaml", usersFor("eve"))
		}, "its parent is another one"},
		{"a flipped byte in a file", func(f *fleet, now *source.Generation) *source.Generation {
			g := f.next(now, source.Manifest{}, "users.yaml", usersFor("eve"))
			bad, _ := source.New(g.Raw, g.Signatures, func(ctx context.Context, file source.File) (io.ReadCloser, error) {
				data, err := g.ReadFile(ctx, file)
				return io.NopCloser(strings.NewReader(strings.Replace(string(data), "eve", "Eve", 1))), err
			})
			return bad
		}, "file users.yaml: has other content than in the manifest"},
		{"a private key", func(f *fleet, now *source.Generation) *source.Generation {
			file := "-----BEGIN PRIVATE KEY-----\n"
			g := f.next(now, source.Manifest{}, "users.yaml", strings.Repeat("x", len(file)))
			raw := strings.Replace(string(g.Raw), source.DigestOf([]byte(strings.Repeat("x", len(file)))).String(), source.DigestOf([]byte(file)).String(), 1)
			signature, _ := source.Sign([]byte(raw), f.key)
			bad, _ := source.New([]byte(raw), []source.Signature{signature}, func(ctx context.Context, of source.File) (io.ReadCloser, error) {
				if of.Name == "users.yaml" {
					return io.NopCloser(strings.NewReader(file)), nil
				}
				return g.Open(ctx, of)
			})
			return bad
		}, "it holds a private key"},
		{"an older CRL", func(f *fleet, now *source.Generation) *source.Generation {
			return f.next(now, source.Manifest{Restores: 1}, "crls/ca.crl", f.crl(1))
		}, "fleet/crls/ca.crl"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t)
			store := &hostile{}
			first := f.next(nil, source.Manifest{})
			f.files["crls/ca.crl"] = f.crl(2)
			now := f.next(first, source.Manifest{})
			store.set(now)
			l := f.site.start(mtlsguard.Options{Source: store})
			alice := f.client(f.alice)
			bad := x.bad(f, now)
			if bad == nil {
				t.Fatal("there is no bad generation")
			}
			store.set(bad)
			testkit.Eventually(t, "the reason in the status", func() bool {
				s := l.server.Status().Source
				text := s.Error
				for _, e := range s.RefusedErrors {
					text += e.Error()
				}
				return strings.Contains(text, x.want)
			})
			if s := l.server.Status(); !s.Ready() || s.Source.Number != 2 {
				t.Errorf("status: %+v", s)
			}
			if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" {
				t.Errorf("under a bad generation: %s, want 200 alice", got)
			}
			store.set(f.next(now, source.Manifest{}, "users.yaml", usersFor("alicia")))
			f.waitForNumber(l, 3)
			if got := get(alice, l.url("internal", "/whoami")); got != "200 alicia" {
				t.Errorf("under the next good one: %s, want 200 alicia", got)
			}
			if s := l.server.Status().Source; s.Error != "" || s.Refused != 0 {
				t.Errorf("under the next good one: %+v", s)
			}
		})
	}
}

// unsigned returns a generation without its signatures.
func unsigned(f *fleet, g *source.Generation) *source.Generation {
	out, err := source.New(g.Raw, nil, openOf(g))
	if err != nil {
		f.Fatal(err)
	}
	return out
}

func openOf(g *source.Generation) source.OpenFunc {
	return func(ctx context.Context, file source.File) (io.ReadCloser, error) { return g.Open(ctx, file) }
}
