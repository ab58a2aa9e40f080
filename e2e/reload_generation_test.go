package e2e

import (
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// Two states of the files refuse alice's certificate: one maps it to mallory, and its policy
// denies mallory; the other maps it to alice, and its policy has no rule for alice. The
// mapping of one with the policy of the other would allow.
var policyStates = [2]struct{ users, policy string }{
	{"mappings:\n  - {id: a, user: mallory, subject: CN=alice, issuer: ca.pem}\n", "p, user:alice, *, GET, /x, allow\np, user:mallory, *, *, /*, deny\n"},
	{"mappings:\n  - {id: a, user: alice, subject: CN=alice, issuer: ca.pem}\n", "p, user:mallory, *, GET, /x, allow\n"},
}

func refusesBoth(answer string) bool { return answer == "403 denied" || answer == "403 no-rule" }

// No decision mixes generations, however many reloads happen during requests and handshakes.
// Covers I5.
func TestDecisionsDoNotMixGenerations(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	write := func(i int) {
		s.put("users.yaml", policyStates[i%2].users)
		s.put("policy.csv", policyStates[i%2].policy)
	}
	write(0)
	var seen sync.Map
	l := s.start(mtlsguard.Options{Observe: func(_ *http.Request, o middleware.Outcome) { seen.Store(o.Generation, true) }})
	url := l.url("internal", "/x")
	stop := make(chan struct{})
	var callers sync.WaitGroup
	var asked atomic.Int64
	for _, option := range []func(*http.Transport){func(*http.Transport) {}, testkit.HTTP2, testkit.Resuming} {
		c := s.client(s.alice, option)
		callers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				if got := get(c, url); !refusesBoth(got) {
					t.Errorf("got %s", got)
					return
				}
				time.Sleep(100 * time.Microsecond) // otherwise reloads get no CPU time
			}
		})
	}
	const reloads = 60
	for i := range reloads {
		write(i + 1)
		if err := l.server.Reload(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	callers.Wait()
	generations := 0
	seen.Range(func(_, _ any) bool { generations++; return true })
	if asked.Load() < 10 || generations < 3 || l.server.Status().Generation != reloads+1 {
		t.Errorf("%d requests in %d generations, now %d", asked.Load(), generations, l.server.Status().Generation)
	}
}

// flippingFS changes to the other state whenever the policy is opened, a given number of times.
// A reload that reads one file after the other would get the users of one state and the policy
// of the other.
type flippingFS struct {
	sites [2]fstest.MapFS
	now   atomic.Int64
	times atomic.Int64
}

func (f *flippingFS) Open(name string) (fs.File, error) {
	if name == "policy.csv" && f.times.Add(-1) >= 0 {
		f.now.Add(1)
	}
	return f.sites[f.now.Load()%2].Open(name)
}

func (f *flippingFS) Stat(name string) (fs.FileInfo, error) {
	return f.sites[f.now.Load()%2].Stat(name)
}

// Covers I5.
func TestFilesThatChangeDuringAReloadAreReadAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	fsys := &flippingFS{}
	for i, state := range policyStates {
		s.put("users.yaml", state.users)
		s.put("policy.csv", state.policy)
		fsys.sites[i] = s.files()
	}
	l := s.startWith(mtlsguard.Options{}, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
		fsys.times.Store(1)
		return mtlsguard.OpenFS(fsys, config, o)
	})
	alice := s.client(s.alice)
	for flips := range int64(4) {
		if got := get(alice, l.url("internal", "/x")); !refusesBoth(got) {
			t.Errorf("before flip %d: %s", flips, got)
		}
		fsys.times.Store(flips)
		if err := l.server.Reload(); err != nil {
			t.Errorf("%d flips: %v", flips, err)
		}
	}
	fsys.times.Store(1 << 40)
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "change while they are read") {
		t.Errorf("files that change all the time: %v", err)
	}
	if got := get(alice, l.url("internal", "/x")); !refusesBoth(got) {
		t.Errorf("in the end: %s", got)
	}
}
