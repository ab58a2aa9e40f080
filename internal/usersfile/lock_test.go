//go:build unix

package usersfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Covers I13.
func TestEditsUnderTheLockUndoNoOther(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "users.yaml")
	if err := os.WriteFile(name, []byte("mappings:\n  - {id: first, user: first, uri: \"x:first\", issuer: ca.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	edit := func(change func([]byte) ([]byte, error)) error {
		unlock, err := Lock(name)
		if err != nil {
			return err
		}
		defer unlock()
		old, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		next, err := change(old)
		if err != nil {
			return err
		}
		return Write(name, old, next)
	}
	const editors, rounds = 8, 10
	var all sync.WaitGroup
	for e := range editors {
		all.Go(func() {
			for i := range rounds {
				id := fmt.Sprintf("u%d-%d", e, i)
				if err := edit(func(old []byte) ([]byte, error) {
					return Add(name, old, []Field{{Key: "id", Text: id}, {Key: "user", Text: id}})
				}); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					continue
				}
				if err := edit(func(old []byte) ([]byte, error) { return Remove(name, old, id) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(string(data), "- {id:"), 1+editors*rounds/2; got != want {
		t.Errorf("%d mappings are left, want %d:\n%s", got, want, data)
	}
	for e := range editors {
		for i := range rounds {
			if id := fmt.Sprintf("id: u%d-%d,", e, i); strings.Contains(string(data), id) != (i%2 == 0) {
				t.Errorf("%q: the edit is lost", id)
			}
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
