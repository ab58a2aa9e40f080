package source

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Highest returns the highest number of the kept generations; 0: there are none. Damaged ones count.
func (k *Keep) Highest() (highest uint64, err error) {
	names, err := k.names()
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 64); err == nil {
			highest = max(highest, n)
		}
	}
	return highest, err
}

// names returns the names of the kept generations: the current one first, then newest first.
func (k *Keep) names() ([]string, error) {
	entries, err := os.ReadDir(k.join("gen"))
	if isNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	target, _ := os.Readlink(k.join("current")) // without it, the newest is first
	current := filepath.Base(target)
	var out []string
	for _, e := range entries {
		if _, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			out = append(out, e.Name())
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		if (a == current) != (b == current) {
			if a == current {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a))
	})
	return out, nil
}

// prune removes the oldest generations, and blobs that none of the others has. A file that cannot
// be removed stays until the next time.
func (k *Keep) prune(current string) {
	names, err := k.names()
	if err != nil {
		return
	}
	for i, name := range names {
		if i >= keptGenerations && name != current {
			_ = os.RemoveAll(k.join("gen", name))
		}
	}
	reached("old ones removed")
	used, err := k.usedBlobs()
	if err != nil {
		return // a damaged one may need any blob
	}
	sweep(k.join("blobs"), func(name string) bool { return used[name] })
	sweep(k.join("gen"), func(string) bool { return true })
}

// usedBlobs returns the names of the blobs of all kept generations.
func (k *Keep) usedBlobs() (map[string]bool, error) {
	all, err := k.Generations()
	used := map[string]bool{}
	for _, g := range all {
		g.addBlobs(used)
	}
	return used, err
}

// addBlobs adds the names of the blobs of g.
func (g *Generation) addBlobs(to map[string]bool) {
	for _, f := range g.Manifest.Files {
		to[f.SHA256.String()] = true
	}
}

// Discard removes the files that Add has written for a generation that is not used, except for those that a
// kept generation or inEffect has too. Otherwise one refused generation after another would fill the disk. A
// later SetCurrent removes files that cannot be removed now.
func (k *Keep) Discard(g, inEffect *Generation) {
	used, err := k.usedBlobs()
	if err != nil {
		return // a damaged one may need any blob
	}
	if inEffect != nil {
		inEffect.addBlobs(used)
	}
	for _, f := range g.Manifest.Files {
		if name := f.SHA256.String(); !used[name] {
			_ = os.Remove(k.join("blobs", name))
		}
	}
}
