package certmap

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// loadPieces loads a file of JSON lines in pieces of 4 KiB and more.
func loadPieces(previous *Table, lines []string) (*Table, error) {
	data := []byte(strings.Join(lines, "\n"))
	digest := sha256.Sum256(data)
	read := func() ([]byte, [sha256.Size]byte, bool) { return data, digest, true }
	return loadFiles(previous, []hook.File{{Name: "users.jsonl", Digest: digest, Read: read}}, hook.Settings{
		AnyPort: true, Workers: 2, PieceSize: 4 << 10, ReadIssuer: func(string) (trust.Digest, error) { return trust.Digest{1}, nil },
	})
}

// newPieces returns how many pieces of a table the previous one does not have, and how many there are.
func newPieces(previous, t *Table) (fresh, all int) {
	known := map[*piece]bool{}
	for _, p := range previous.origin.files[0].pieces {
		known[p] = true
	}
	for _, p := range t.origin.files[0].pieces {
		if all++; !known[p] {
			fresh++
		}
	}
	return fresh, all
}

func numberedLines(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf(`{"id": "m%d", "user": "user%d", "dns": "host%d.example", "issuer": "ca.pem"}`, i, i%7, i))
	}
	return lines
}

// After a change of one line most pieces of a file are those of the table before, also behind lines that
// have moved, and the table is that of a fresh load, with its lines.
func TestOneLineChangesFewPieces(t *testing.T) {
	t.Parallel()
	lines := numberedLines(10_000)
	first, err := loadPieces(nil, lines)
	if err != nil {
		t.Fatal(err)
	}
	line := `{"id": "new", "user": "u", "spki": "` + strings.Repeat("ab", 32) + `"}`
	parsed := 0
	changes := map[string]func(at int) []string{
		"inserted": func(at int) []string { return slices.Insert(slices.Clone(lines), at, line) },
		"blank":    func(at int) []string { return slices.Insert(slices.Clone(lines), at, "", "") },
		"replaced": func(at int) []string { return slices.Replace(slices.Clone(lines), at, at+1, line) },
		"removed":  func(at int) []string { return slices.Delete(slices.Clone(lines), at, at+1) },
		"moved":    func(at int) []string { return append(slices.Delete(slices.Clone(lines), at, at+1), lines[at]) },
	}
	positions := []int{0, 1, 777, 5000, 9998}
	for what, change := range changes {
		for _, at := range positions {
			changed := change(at)
			next, err := loadPieces(first, changed)
			if err != nil {
				t.Fatal(what, at, err)
			}
			fresh, err := loadPieces(nil, changed)
			if err != nil {
				t.Fatal(what, at, err)
			}
			if !reflect.DeepEqual(next.Mappings(), fresh.Mappings()) {
				t.Errorf("%s at %d: the mappings are not those of a fresh load", what, at)
			}
			n, all := newPieces(first, next)
			if all < 80 || n == 0 {
				t.Fatalf("%s at %d: %d new of %d pieces", what, at, n, all)
			}
			parsed += n
		}
	}
	// The hash of lines is another one in each process: most changes need one or two pieces, a few some more.
	if most := 6 * len(changes) * len(positions); parsed > most {
		t.Errorf("%d pieces were parsed, want at most %d", parsed, most)
	}
	if next, err := loadPieces(first, lines); err != nil || next != first {
		t.Errorf("the same lines give another table, %v", err)
	}
}

// Lines that are in the file twice repeat their ids, also where both copies are the same piece of the table before.
func TestAPieceCountsOnce(t *testing.T) {
	t.Parallel()
	text := strings.Join(numberedLines(500), "\n") + "\n"
	first, err := loadPieces(nil, []string{text})
	if err != nil {
		t.Fatal(err)
	}
	piece := text[:pieceEnd([]byte(text), 4<<10)] // at the beginning of a file every piece ends where it does now
	table, err := loadPieces(first, []string{piece + text})
	if table != nil || err == nil || !strings.Contains(err.Error(), "the id is not unique, first at line 1") {
		t.Errorf("a piece twice gives %v, %v", table, err)
	}
}

// FuzzPieces cuts a text into pieces: they are the text again, each ends with a line, and has its bounds.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("a\nbc\n\nd"), uint8(1))
	f.Add(bytes.Repeat([]byte("0123456789\n"), 300), uint8(200))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		size := int(n) + 1
		for rest := data; len(rest) > 0; {
			end := pieceEnd(rest, size)
			piece := rest[:end]
			rest = rest[end:]
			if len(rest) == 0 {
				break
			}
			last := bytes.LastIndexByte(piece[:end-1], '\n') + 1 // where its last line begins
			if piece[end-1] != '\n' || end < size || last >= 4*size {
				t.Fatalf("a piece of %d bytes, its last line at %d, for the size %d", end, last, size)
			}
		}
	})
}
