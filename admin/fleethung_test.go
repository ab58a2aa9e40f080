package admin_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// hungStore is a store whose calls do not return while it hangs, even after their context has ended: like a folder on a
// network file system whose server is down.
type hungStore struct {
	source.Store
	mu   sync.Mutex
	hung chan struct{} // nil: it answers
}

func (h *hungStore) hang() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hung = make(chan struct{})
}

// mend makes it answer, earlier queries too.
func (h *hungStore) mend() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hung != nil {
		close(h.hung)
	}
	h.hung = nil
}

func (h *hungStore) wait() {
	h.mu.Lock()
	hung := h.hung
	h.mu.Unlock()
	if hung != nil {
		<-hung
	}
}

func (h *hungStore) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	h.wait()
	return h.Store.Load(ctx, have)
}

func (h *hungStore) Commit(ctx context.Context, g *source.Generation) error {
	h.wait()
	return h.Store.Commit(ctx, g)
}

func (h *hungStore) History(ctx context.Context, before uint64, n int) ([]source.Manifest, error) {
	h.wait()
	return h.Store.History(ctx, before, n)
}

func (h *hungStore) At(ctx context.Context, number uint64) (*source.Generation, error) {
	h.wait()
	return h.Store.At(ctx, number)
}

func (h *hungStore) PutReport(ctx context.Context, r source.Report) error {
	h.wait()
	return h.Store.PutReport(ctx, r)
}

// The page answers while the store hangs: the fleet is shown without it, edits and rollbacks report that they may be
// committed, and only a few calls wait for the store. Callers are served, and edits are possible afterwards.
// Covers U10.
func TestPageAnswersWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	store := &hungStore{Store: f}
	s := f.site(store, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	t.Cleanup(store.mend) // before the server ends: a follower that hangs is left alone
	admin.SetStoreTime(s.page, 200*time.Millisecond)
	alice := s.client("alice")
	users := s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag")
	fleet := s.do(alice, "GET", "admin", "/api/v1/fleet", "").Header.Get("ETag")
	store.hang()
	const waits = "the store of the fleet: context deadline exceeded"
	if got := decode[admin.Fleet](s, s.do(alice, "GET", "admin", "/api/v1/fleet", "")); got.InEffect != 1 || len(got.Generations) != 1 || got.Error != waits {
		t.Errorf("got %+v, want generation 1 and the store's silence as an error", got)
	}
	if got := s.do(alice, "GET", "admin", "/api/v1/fleet/1", ""); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, waits) {
		t.Errorf("got %s: %s, want 503", got.Status, got.body)
	}
	edit := func(etag string) *answer {
		return s.do(alice, "PATCH", "admin", "/api/v1/mappings/old", `{"disabled":false}`, "If-Match", etag)
	}
	if got := edit(users); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, waits) || !strings.Contains(got.body, "whether generation 2 is committed") {
		t.Errorf("got %s: %s, want 503, and that generation 2 may be committed", got.Status, got.body)
	}
	if got := s.do(alice, "POST", "admin", "/api/v1/fleet/1/rollback", "", "If-Match", fleet); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, waits) {
		t.Errorf("got %s: %s, want 503", got.Status, got.body)
	}
	// Four calls wait for the store now.
	const full = "the store of the fleet has not answered earlier questions"
	if got := edit(users); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, full) {
		t.Errorf("got %s: %s, want 503", got.Status, got.body)
	}
	if got := s.do(alice, "GET", "admin", "/changes", ""); got.StatusCode != http.StatusOK || !strings.Contains(got.body, full) {
		t.Errorf("got %s: %s, want the page with the error", got.Status, got.body)
	}
	if got := s.do(s.client("alice"), "GET", "internal", "/orders/7", ""); got.body != "order" {
		t.Errorf("a caller: %s %s, want order", got.Status, got.body)
	}

	store.mend()
	testkit.Eventually(t, "the page asks the store again", func() bool {
		return decode[admin.Fleet](s, s.do(alice, "GET", "admin", "/api/v1/fleet", "")).Error == ""
	})
	if n := f.newest().Manifest.Number; n != 1 {
		t.Errorf("generation %d was committed after its time", n)
	}
	if got := s.do(alice, "DELETE", "admin", "/api/v1/mappings/old", "", "If-Match", users); got.StatusCode != http.StatusOK || f.newest().Manifest.Number != 2 {
		t.Errorf("got %s: %s, want 200 and generation 2", got.Status, got.body)
	}
}

// Many callers compare generations at the same time: one comparison runs at a time, and each caller gets its answer. A store
// that panics is an error of one answer.
// Covers U10.
func TestManyCallersCompareGenerations(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	store := &defectiveStore{Store: f}
	s := f.site(store, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	f.push("bert", "policy.csv", sitePolicy+"p, user:eve, *, GET, /orders/*, allow\n")
	s.waitForFleet(2)
	alice := s.client("alice")
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if got := s.do(alice, "GET", "admin", "/api/v1/fleet/2", ""); got.StatusCode != http.StatusOK || !strings.Contains(got.body, "eve") {
				t.Errorf("got %s: %s, want 200 and the rule", got.Status, got.body)
			}
		})
	}
	callers.Wait()
	store.panics.Store(true)
	if got := s.do(alice, "GET", "admin", "/api/v1/fleet/2", ""); got.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got.body, "the store of the fleet panicked") {
		t.Errorf("got %s: %s, want 503", got.Status, got.body)
	}
}

// defectiveStore is a store that panics from some time on.
type defectiveStore struct {
	source.Store
	panics atomic.Bool
}

func (d *defectiveStore) At(ctx context.Context, number uint64) (*source.Generation, error) {
	if d.panics.Load() {
		panic("a defect")
	}
	return d.Store.At(ctx, number)
}
