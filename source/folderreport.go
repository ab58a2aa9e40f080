package source

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
)

// PutReport implements Store. The name of the file is the digest of the node's: a name may hold
// anything.
func (f FolderStore) PutReport(ctx context.Context, r Report) error {
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

// maxReportFile is the size of a report of a node. The longest of a Follower has 10 kB of errors.
const maxReportFile = 64 << 10

// Reports implements Store. A report that cannot be read is one with that error: it hides no others.
func (f FolderStore) Reports(ctx context.Context) ([]Report, error) {
	entries, err := os.ReadDir(f.path("node"))
	if err != nil && !isNotExist(err) {
		return nil, err
	}
	var out []Report
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if new(Digest).UnmarshalText([]byte(e.Name())) != nil {
			continue
		}
		data, err := readLimited(f.path("node", e.Name()), maxReportFile)
		switch {
		case isNotExist(err): // Prune has removed it
		case err != nil:
			out = append(out, brokenReport(e.Name(), err))
		default:
			out = append(out, readReport(e.Name(), data))
		}
	}
	slices.SortFunc(out, func(a, b Report) int { return strings.Compare(a.Node, b.Node) })
	return out, nil
}

// readReport decodes a report. Its file has the digest of the node's name.
func readReport(file string, data []byte) Report {
	var r Report
	err := json.Unmarshal(data, &r)
	if err == nil && DigestOf([]byte(r.Node)).String() != file {
		err = errors.New("it is under the name of another node")
	}
	if err != nil {
		return brokenReport(file, err)
	}
	return r
}

func brokenReport(file string, err error) Report {
	return Report{Node: file, Errors: []string{"the report cannot be read: " + err.Error()}}
}
