package fleetedit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/source"
)

// FileDiff is what changed in a file, and an element of the JSON of mtlsguard-fleet diff.
type FileDiff struct {
	Name    string     `json:"name"`
	Change  string     `json:"change"`             // added, removed or changed
	Old     string     `json:"old,omitempty"`      // SHA-256
	New     string     `json:"new,omitempty"`      // SHA-256
	Items   []ItemDiff `json:"items,omitempty"`    // of a file that mtlsguard knows
	LeftOut string     `json:"left_out,omitempty"` // why the contents are not compared; "": they are
}

// ItemDiff is a mapping, a rule, a certificate or a CRL that changed.
type ItemDiff struct {
	Kind string `json:"kind"`          // mapping, rule, certificate or crl
	Old  string `json:"old,omitempty"` // empty: it is added
	New  string `json:"new,omitempty"` // empty: it is removed
}

// Limits bound a comparison: a store could name files without end, and fill them with what takes four hundred times
// its size to parse. The files count in the order of their names.
type Limits struct {
	Read  int64 // bytes of files
	Parse int64 // bytes that separate values, in the texts that are parsed; up to 400 bytes of memory for each
}

// mayParse reports whether texts are within the limit, and counts them then.
func (l *Limits) mayParse(texts ...[]byte) bool {
	n := int64(0)
	for _, text := range texts {
		for _, c := range text {
			if strings.IndexByte("\n,:-?[]{}\"'", c) >= 0 {
				n++
			}
		}
	}
	if n > l.Parse {
		return false
	}
	l.Parse -= n
	return true
}

// Diff returns what changed from a to b, by file. nil is a generation without files. The contents of a file that would
// exceed a limit are left out.
func Diff(ctx context.Context, a, b *source.Generation, limits Limits) ([]FileDiff, error) {
	old, next := filesByName(a), filesByName(b)
	all := maps.Clone(old)
	maps.Copy(all, next)
	out, left := []FileDiff{}, limits
	for _, name := range slices.Sorted(maps.Keys(all)) {
		before, hadIt := old[name]
		after, hasIt := next[name]
		if hadIt && hasIt && before.SHA256 == after.SHA256 {
			continue
		}
		d := FileDiff{Name: name, Change: "changed"}
		if hadIt {
			d.Old = before.SHA256.String()
		} else {
			d.Change = "added"
		}
		if hasIt {
			d.New = after.SHA256.String()
		} else {
			d.Change = "removed"
		}
		// Open reads no more than the size of the manifest.
		if size := before.Size + after.Size; size > left.Read {
			d.LeftOut = fmt.Sprintf("not compared: %d bytes, and one comparison reads %d bytes of files", size, limits.Read)
			out = append(out, d)
			continue
		}
		left.Read -= before.Size + after.Size
		var was, is []byte
		var err error
		if hadIt {
			was, err = a.ReadFile(ctx, before)
		}
		if hasIt && err == nil {
			is, err = b.ReadFile(ctx, after)
		}
		if err != nil {
			return nil, err
		}
		d.Items, d.LeftOut = diffFiles(name, was, is, &left)
		out = append(out, d)
	}
	return out, nil
}

func filesByName(g *source.Generation) map[string]source.File {
	out := map[string]source.File{}
	if g != nil {
		for _, f := range g.Manifest.Files {
			out[f.Name] = f
		}
	}
	return out
}

// diffItems returns the items that differ: those of b in its order, and then those that are removed.
func diffItems(a, b []item) (out []ItemDiff) {
	old := map[string]item{}
	for _, i := range a {
		old[i.key] = i
	}
	for _, i := range b {
		before, ok := old[i.key]
		delete(old, i.key)
		if !ok || before.text != i.text {
			out = append(out, ItemDiff{i.kind, before.text, i.text})
		}
	}
	for _, i := range a {
		if _, ok := old[i.key]; ok {
			out = append(out, ItemDiff{Kind: i.kind, Old: i.text})
		}
	}
	return out
}
