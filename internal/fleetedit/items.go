package fleetedit

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// item is a part of a file. Two versions of one item have the same key.
type item struct{ kind, key, text string }

// diffFiles returns the items that differ in two versions of a file. Only the lines that differ are parsed where that
// means the same: a file of many mappings takes long.
func diffFiles(name string, was, is []byte) []ItemDiff {
	switch a, b := differentLines(was, is); path.Ext(name) {
	case ".csv", ".jsonl":
		was, is = a, b
	case ".yaml", ".yml":
		a, okA := mappingLines(a)
		b, okB := mappingLines(b)
		if !okA || !okB {
			break
		}
		olds, err := usersItems(name, a)
		news, err2 := usersItems(name, b)
		if err == nil && err2 == nil {
			return diffItems(olds, news)
		}
	}
	return diffItems(itemsOf(name, was), itemsOf(name, is))
}

// differentLines returns two texts without the lines at the beginning and at the end that both have.
func differentLines(a, b []byte) (restA, restB []byte) {
	same, at := 0, 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		if at++; a[at-1] == '\n' {
			same = at
		}
	}
	a, b = a[same:], b[same:]
	same, at = 0, 0
	for at < len(a) && at < len(b) && a[len(a)-1-at] == b[len(b)-1-at] {
		at++
		if atStart := at == len(a) || a[len(a)-1-at] == '\n'; atStart && (at == len(b) || b[len(b)-1-at] == '\n') {
			same = at
		}
	}
	return a[:len(a)-same], b[:len(b)-same]
}

// mappingLines returns a file of users with these lines, if each is a whole mapping in the flow style of YAML, or a
// comment: other lines may mean something else without those around them.
func mappingLines(lines []byte) (file []byte, ok bool) {
	if usersfile.Blank(lines) {
		return nil, true
	}
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !(bytes.HasPrefix(line, []byte("- {")) && line[len(line)-1] == '}') {
			return nil, false
		}
	}
	return append([]byte("mappings:\n"), lines...), true
}

// itemsOf returns the items of a file: nothing if it is of no known kind, or has an error.
func itemsOf(name string, data []byte) []item {
	var out []item
	switch path.Ext(name) {
	case ".csv":
		out = rulesOf(data)
	case ".yaml", ".yml", ".jsonl":
		out, _ = usersItems(name, data)
		return out
	default:
		out = certificatesOf(name, data)
	}
	return numbered(out)
}

// usersItems returns the mappings of a file of users.
func usersItems(name string, data []byte) (out []item, err error) {
	if usersfile.Blank(data) {
		return nil, nil
	}
	lines, err := usersfile.Lines(name, data, func(issuer string) string { return issuer })
	for _, l := range lines {
		out = append(out, item{"mapping", l.ID, strings.TrimSpace(string(l.Text))})
	}
	return numbered(out), err
}

// numbered makes keys unique: a second item of one key is another item.
func numbered(out []item) []item {
	number := map[string]int{}
	for i := range out {
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
