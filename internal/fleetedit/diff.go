package fleetedit

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/trust"
)

// FileDiff is what changed in a file, and an element of the JSON of mtlsguard-fleet diff.
type FileDiff struct {
	Name   string     `json:"name"`
	Change string     `json:"change"`          // added, removed or changed
	Old    string     `json:"old,omitempty"`   // SHA-256
	New    string     `json:"new,omitempty"`   // SHA-256
	Items  []ItemDiff `json:"items,omitempty"` // of a file that mtlsguard knows
}

// ItemDiff is a mapping, a rule, a certificate or a CRL that changed.
type ItemDiff struct {
	Kind string `json:"kind"`          // mapping, rule, certificate or crl
	Old  string `json:"old,omitempty"` // empty: it is added
	New  string `json:"new,omitempty"` // empty: it is removed
}

// item is a part of a file. Two versions of one item have the same key.
type item struct{ kind, key, text string }

// Diff returns what changed from a to b, by file. nil is a generation without files.
func Diff(ctx context.Context, a, b *source.Generation) ([]FileDiff, error) {
	old, next := filesByName(a), filesByName(b)
	var names []string
	for _, files := range []map[string]source.File{old, next} {
		for name := range files {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	out := []FileDiff{}
	for _, name := range slices.Compact(names) {
		before, hadIt := old[name]
		after, hasIt := next[name]
		if hadIt && hasIt && before.SHA256 == after.SHA256 {
			continue
		}
		d := FileDiff{Name: name, Change: "changed"}
		var was, is []byte
		var err error
		if hadIt {
			d.Old = before.SHA256.String()
			if was, err = a.ReadFile(ctx, before); err != nil {
				return nil, err
			}
		} else {
			d.Change = "added"
		}
		if hasIt {
			d.New = after.SHA256.String()
			if is, err = b.ReadFile(ctx, after); err != nil {
				return nil, err
			}
		} else {
			d.Change = "removed"
		}
		d.Items = diffItems(itemsOf(name, was), itemsOf(name, is))
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

// itemsOf returns the items of a file: nothing if it is of no known kind, or has an error.
func itemsOf(name string, data []byte) []item {
	var out []item
	switch path.Ext(name) {
	case ".csv":
		out = rulesOf(data)
	case ".yaml", ".yml", ".jsonl":
		lines, err := usersfile.Lines(name, data, func(issuer string) string { return issuer })
		if err != nil {
			return nil
		}
		for _, l := range lines {
			out = append(out, item{"mapping", l.ID, strings.TrimSpace(string(l.Text))})
		}
	default:
		out = certificatesOf(name, data)
	}
	number := map[string]int{}
	for i := range out { // a second item of one key is another item
		key := out[i].key
		number[key]++
		out[i].key = fmt.Sprintf("%d %s", number[key], key)
	}
	return out
}

// rulesOf returns the rules and memberships of a policy. Blanks around fields have no meaning.
func rulesOf(data []byte) (out []item) {
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		fields := strings.Split(line, ",")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		text := strings.Join(fields, ", ")
		out = append(out, item{"rule", text, text})
	}
	return out
}

// certificatesOf returns the certificates or CRLs in a file.
func certificatesOf(name string, data []byte) (out []item) {
	if len(data) == 0 {
		return nil
	}
	if certs, err := trustaccess.ReadCertificates(name, data); err == nil {
		for _, c := range certs {
			fingerprint := trust.FingerprintOf(c.Cert).String()
			out = append(out, item{"certificate", fingerprint, fmt.Sprintf("%s, until %s, sha256:%s", dn.Print(&c.Cert.Subject), formatTime(c.Cert.NotAfter), fingerprint)})
		}
		return out
	}
	lists, err := trustaccess.ReadCRLs(name, data)
	if err != nil {
		return nil
	}
	for _, l := range lists {
		number := "no number"
		if l.List.Number != nil {
			number = "number " + l.List.Number.String()
		}
		out = append(out, item{"crl", string(l.List.RawIssuer), fmt.Sprintf("CRL of %s, %s, revoked %d, next update %s", dn.Print(&l.List.Issuer), number, len(l.List.RevokedCertificateEntries), formatTime(l.List.NextUpdate))})
	}
	return out
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
