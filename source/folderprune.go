package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// reportAge is the age of a report that Prune removes: its node is gone.
const reportAge = 7 * 24 * time.Hour

// Retention describes what Prune of a FolderStore keeps.
type Retention struct {
	Keep    int           // this many of the newest generations; at least 1 is kept
	Younger time.Duration // all that were the newest within this time
	// Grace is how long files are kept after they were written, whatever names them: a commit that
	// runs meanwhile may need them. It must be longer than any commit takes. 0 means 1 h.
	Grace time.Duration
}

// Prune removes old generations, the files that only they name, and reports that are older than
// seven days. It returns how many generations it removed. Commits may run meanwhile.
func (f FolderStore) Prune(ctx context.Context, r Retention) (removed int, err error) {
	head, err := f.newest(ctx)
	if errors.Is(err, ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := f.writeHead(ctx); err != nil { // without the oldest generation, head is where a search begins
		return 0, err
	}
	numbers, err := f.numbers()
	if err != nil {
		return 0, err
	}
	named := map[string]bool{}
	var old []uint64
	for _, n := range numbers {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if f.isOld(n, head.Manifest.Number, r) {
			old = append(old, n)
			continue
		}
		g, err := f.numbered(n)
		if err != nil {
			return 0, fmt.Errorf("nothing was removed: generation %d cannot be read: %w", n, err)
		}
		for _, file := range g.Manifest.Files {
			named[file.SHA256.String()] = true
		}
	}
	for _, n := range old { // the oldest first: the others stay a history without a gap
		if err := os.Remove(f.path("gen", numbered(n))); err != nil && !isNotExist(err) {
			return removed, err
		}
		removed++
	}
	if err := f.pruneBlobs(ctx, named, cmp.Or(r.Grace, time.Hour)); err != nil {
		return removed, err
	}
	return removed, f.pruneReports()
}

// numbers returns the numbers of the generations in the folder, the lowest first.
func (f FolderStore) numbers() ([]uint64, error) {
	entries, err := os.ReadDir(f.path("gen"))
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && e.Name() == numbered(n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// isOld reports whether a generation is removed. It was the newest until the next one was written.
func (f FolderStore) isOld(n, head uint64, r Retention) bool {
	if n >= head || head-n < uint64(max(r.Keep, 1)) {
		return false
	}
	next, err := os.Stat(f.path("gen", numbered(n+1)))
	return isNotExist(err) || err == nil && time.Since(next.ModTime()) >= r.Younger
}

// pruneBlobs removes the files that no generation names, and that are older than grace.
func (f FolderStore) pruneBlobs(ctx context.Context, named map[string]bool, grace time.Duration) error {
	entries, err := os.ReadDir(f.path("blob"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		var d Digest
		if named[e.Name()] || d.UnmarshalText([]byte(e.Name())) != nil {
			continue
		}
		if err := removeOlder(f.path("blob", e.Name()), grace); err != nil {
			return err
		}
	}
	return nil
}

// pruneReports removes the reports of nodes that are gone.
func (f FolderStore) pruneReports() error {
	entries, err := os.ReadDir(f.path("node"))
	if err != nil && !isNotExist(err) {
		return err
	}
	for _, e := range entries {
		if err := removeOlder(f.path("node", e.Name()), reportAge); err != nil {
			return err
		}
	}
	return nil
}

// removeOlder removes a file that was written, or made young by blobs.write, before age. It moves the file away first and
// looks then: between a look and the removal another process could make it young.
func removeOlder(name string, age time.Duration) error {
	isYoung := func(name string) bool {
		info, err := os.Lstat(name)
		return err != nil || time.Since(info.ModTime()) < age
	}
	if isYoung(name) {
		return nil
	}
	away := filepath.Join(filepath.Dir(name), temporary+filepath.Base(name))
	if err := os.Rename(name, away); err != nil {
		return ignoreMissing(err)
	}
	if isYoung(away) {
		if err := putBack(away, name); err != nil {
			return err
		}
	}
	return ignoreMissing(os.Remove(away))
}

// putBack gives a file its name again, unless a commit has written another file under it: the one that was moved
// away may be damaged.
func putBack(away, name string) error {
	err := os.Link(away, name)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
