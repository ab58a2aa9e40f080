package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// Of editors who have seen the same users, one wins, and each of the others gets a 412. Nothing that was
// answered with 200 is lost, also while others reload.
// Covers W10.
func TestEditsAtTheSameTime(t *testing.T) {
	t.Parallel()
	const editors = 8
	s := newSite(t, editing)
	ca := testpki.NewCA("Partner CA")
	alice := s.client("alice")
	tag := func() string { return s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag") }
	add := func(i int, etag string) *answer {
		body, err := json.Marshal(map[string]string{"user": fmt.Sprintf("user%d", i), "certificate_pem": string(ca.Leaf(fmt.Sprint("partner", i)).CertPEM())})
		if err != nil {
			t.Error(err)
		}
		return s.do(alice, "POST", "admin", "/api/v1/mappings", string(body), "If-Match", etag)
	}

	etag := tag()
	var won, lost, other int
	var mu sync.Mutex
	inParallel(editors, func(i int) {
		got := add(i, etag)
		mu.Lock()
		defer mu.Unlock()
		switch got.StatusCode {
		case http.StatusOK:
			won++
		case http.StatusPreconditionFailed:
			lost++
			if got.Header.Get("ETag") == etag {
				t.Error("412 with the ETag that the editor has seen")
			}
		default:
			other++
			t.Errorf("got %s %s, want 200 or 412", got.Status, got.body)
		}
	})
	if won != 1 || lost != editors-1 || other != 0 {
		t.Errorf("%d editors won, %d lost, %d were answered otherwise", won, lost, other)
	}

	inParallel(editors, func(i int) {
		for range 20 * editors {
			switch got := add(100+i, tag()); got.StatusCode {
			case http.StatusOK:
				return
			case http.StatusPreconditionFailed: // once more, after a look
			default:
				t.Errorf("got %s %s, want 200 or 412", got.Status, got.body)
				return
			}
			if got := s.do(alice, "POST", "admin", "/api/v1/reload", ""); got.StatusCode != http.StatusOK {
				t.Errorf("got %s %s, want 200", got.Status, got.body)
			}
		}
		t.Errorf("editor %d never won", i)
	})
	users := s.users()
	if n := strings.Count(users, "user: user10"); n != editors || strings.Count(users, "\n") != strings.Count(siteUsers, "\n")+editors+1 {
		t.Errorf("%d of %d edits are in the file\n%s", n, editors, users)
	}
	if list := decode[[]admin.Mapping](s, s.do(alice, "GET", "admin", "/api/v1/mappings", "")); len(list) != 2+editors+1 {
		t.Errorf("%d mappings are in effect, want %d", len(list), 2+editors+1)
	}
}

// inParallel calls f with 0 to n-1 at the same time, and waits.
func inParallel(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
