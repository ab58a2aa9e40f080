package storetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
)

// LoadNeverMixesGenerations tests that a reader gets files of one generation while others are committed.
func LoadNeverMixesGenerations(t *testing.T, e Engine) {
	t.Helper()
	editor, node := e.Open(), e.Open()
	g := Commit(t, editor, Next(t, nil))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			g = Commit(t, editor, Next(t, g))
		}
	}()
	var reads int
	for running := true; running; reads++ {
		select {
		case <-done:
			running = false
		default:
		}
		got, err := node.Load(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got.Manifest.Files {
			data, err := got.ReadFile(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%d ", got.Manifest.Number); !strings.HasPrefix(string(data), want) {
				t.Fatalf("%s of generation %d holds %q, want %q first", f.Name, got.Manifest.Number, data, want)
			}
		}
	}
	t.Logf("%d reads during 100 commits", reads)
}

// AnotherGenerationUnderANumber tests that a generation under the number of another one is an error. put
// writes what the server holds under number 1.
func AnotherGenerationUnderANumber(t *testing.T, store source.Store, put func(envelope []byte)) {
	t.Helper()
	first := Commit(t, store, Next(t, nil))
	second := Commit(t, store, Next(t, first))
	Commit(t, store, Next(t, second))
	put(second.Encode())
	if g, err := store.At(t.Context(), 1); err == nil {
		t.Errorf("at 1: got generation %d, want an error", g.Manifest.Number)
	}
	if all, err := store.History(t.Context(), 0, 10); err == nil {
		t.Errorf("history: got %v, want an error", all)
	}
}

// ReportsAreThoseOfTheirKeys tests that a report counts for the node in its key, whatever its content. put
// writes the value of a node's key. odd is a node whose name has no valid form.
func ReportsAreThoseOfTheirKeys(t *testing.T, store source.Store, odd string, put func(node, value string)) {
	t.Helper()
	if err := store.PutReport(t.Context(), source.Report{Node: "a", Number: 7}); err != nil {
		t.Fatal(err)
	}
	for node, value := range map[string]string{"b": `{"node":"a","number":9}`, "c": "no JSON", odd: "{}", "e": strings.Repeat(" ", 65<<10)} {
		put(node, value)
	}
	all, err := store.Reports(t.Context())
	if err != nil || len(all) != 5 {
		t.Fatalf("reports: got %v, %v, want 5", all, err)
	}
	for i, r := range all {
		if want := []string{"a", "b", "c", odd, "e"}[i]; r.Node != want || (r.Number == 7) != (want == "a") || (len(r.Errors) == 0) != (want == "a") {
			t.Errorf("report %d is %+v, want that of %s", i, r, want)
		}
	}
	if err := store.PutReport(t.Context(), source.Report{Node: "a", Errors: []string{strings.Repeat("x", 64<<10)}}); err == nil {
		t.Error("a report of 64 KiB was taken")
	}
	if err := store.PutReport(t.Context(), source.Report{Node: strings.Repeat("n", 256)}); err == nil {
		t.Error("a name of 256 bytes was taken")
	}
}

// CommitMendsASpoiledFile tests that an editor which leaves another content under the digest of a file does
// not spoil the next generation that has it. spoil writes the first part of the file.
func CommitMendsASpoiledFile(t *testing.T, store source.Store, spoil func(digest, content string)) {
	t.Helper()
	first := Commit(t, store, Next(t, nil))
	second := Next(t, first)
	spoil(second.Manifest.Files[0].SHA256.String(), "spoiled")
	Commit(t, store, second)
	got, err := store.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
}
