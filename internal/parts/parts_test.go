package parts_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/parts"
	"github.com/mtlsguard/mtlsguard/source"
)

// The number of parts and their sizes follow from the size in the manifest.
func TestPartsFollowFromTheSize(t *testing.T) {
	t.Parallel()
	for size, want := range map[int64]int{0: 0, 1: 1, 4: 1, 5: 2, 8: 2, 11: 3} {
		fetched := 0
		data, err := read(t, size, func(part int) []byte {
			if part != fetched {
				t.Errorf("%d bytes: got part %d after %d parts, want them in order", size, part, fetched)
			}
			fetched++
			return make([]byte, min(4, size-int64(part)*4))
		})
		if int64(len(data)) != size || err != nil || fetched != want {
			t.Errorf("%d bytes: got %d bytes, %v in %d parts, want %d parts", size, len(data), err, fetched, want)
		}
	}
}

// A part of another size is an error, and no byte of it is read.
func TestPartOfAnotherSizeIsAnError(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 3, 5, 4 << 20} {
		data, err := read(t, 9, func(part int) []byte {
			if part == 1 {
				return make([]byte, length)
			}
			return make([]byte, 4)
		})
		if len(data) != 4 || err == nil || !strings.Contains(err.Error(), "part 1 of users.yaml (SHA-256 ") || !strings.Contains(err.Error(), "and should have 4") {
			t.Errorf("a part of %d bytes: got %d bytes, %v; want the first 4 and an error", length, len(data), err)
		}
	}
	if data, err := read(t, 5, func(int) []byte { return make([]byte, 4) }); len(data) != 4 || err == nil {
		t.Errorf("a last part of 4 bytes: got %d bytes, %v; want an error", len(data), err)
	}
}

func TestErrorOfAPartEndsTheFile(t *testing.T) {
	t.Parallel()
	if data, err := read(t, 9, func(part int) []byte { return [][]byte{make([]byte, 4), nil}[part] }); len(data) != 4 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %d bytes, %v; want 4 and the error", len(data), err)
	}
}

// read reads a file of size bytes in parts of 4. A part that is nil does not exist.
func read(t *testing.T, size int64, get func(part int) []byte) ([]byte, error) {
	t.Helper()
	open := parts.Opener(4, func(_ context.Context, f source.File, part int) ([]byte, error) {
		data := get(part)
		if data == nil {
			return nil, fs.ErrNotExist
		}
		return data, nil
	})
	r, err := open(t.Context(), source.File{Name: "users.yaml", Size: size})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return io.ReadAll(r)
}
