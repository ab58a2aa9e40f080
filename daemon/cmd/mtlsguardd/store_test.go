package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// A node takes users and policy from the store that --store names.
func TestNodeFollowsTheStoreOfTheFlag(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer service.Close()
	s := newNode(t, service.URL)
	store := t.TempDir()
	file := func(name string) []byte { return []byte(read(t, filepath.Join(s.dir, name))) }
	first, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{
		"users.yaml": {Data: file("users.yaml")}, "policy.csv": {Data: file("policy.csv")}, "ca.pem": {Data: file("ca.pem")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Folder(store).Commit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	config := read(t, filepath.Join(s.dir, "mtlsguard.yaml"))
	config = strings.NewReplacer("users: users.yaml", "users: fleet/users.yaml", "policy: policy.csv", "policy: fleet/policy.csv").Replace(config)
	write(t, filepath.Join(s.dir, "mtlsguard.yaml"), config+"source: {mount: fleet, keep: keep, unsigned: true, fleet: orders}\n")
	for _, name := range []string{"users.yaml", "policy.csv"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	stop := s.start("--store", store)
	defer stop()
	res, err := testkit.Client(t, s.serve.Pool(), s.alice).Get("https://" + s.address + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(data)
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
