package source

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Tell implements Store. The name of the file is the digest of the node's: a name may hold
// anything.
func (f FolderStore) Tell(ctx context.Context, r Report) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.path("node"), 0o755); err != nil {
		return err
	}
	return writeBytes(f.path("node", DigestOf([]byte(r.Node)).String()), append(data, '\n'), os.Rename)
}

// Reports implements Store.
func (f FolderStore) Reports(context.Context) ([]Report, error) {
	entries, err := os.ReadDir(f.path("node"))
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	var out []Report
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			continue
		}
		data, err := readLimited(f.path("node", e.Name()), 64<<10)
		if err != nil {
			return nil, err
		}
		var r Report
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", f.path("node", e.Name()), err)
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Report) int { return strings.Compare(a.Node, b.Node) })
	return out, nil
}
