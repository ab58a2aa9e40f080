package fleetedit

import (
	"cmp"
	"crypto/sha256"
	"errors"
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

// diffFiles returns the items that differ in two versions of a file, or why they cannot be compared. Only the lines
// that differ are parsed where that means the same: a file of many mappings takes long.
func diffFiles(name string, was, is []byte, limits *Limits) (items []ItemDiff, leftOut string) {
	switch head, a, b := differentLines(was, is); path.Ext(name) {
	case ".csv", ".jsonl":
		was, is = a, b
	case ".yaml", ".yml":
		if !areWholeMappings(a) || !areWholeMappings(b) || !endsBetweenMappings(head) {
			break
		}
		if !limits.mayParse(a, b) {
			return nil, tooMuch
		}
		olds, err := usersItems(name, listOf(a))
		news, err2 := usersItems(name, listOf(b))
		if err == nil && err2 == nil {
			return diffItems(olds, news), ""
		}
	}
	if !limits.mayParse(was, is) {
		return nil, tooMuch
	}
	olds, err := itemsOf(name, was)
	news, err2 := itemsOf(name, is)
	if err = cmp.Or(err2, err); err != nil {
		return nil, "not compared: " + err.Error()
	}
	return diffItems(olds, news), ""
}

const tooMuch = "not compared: what differs is more than one comparison parses"

// differentLines returns two texts without the lines at the beginning, the head, and those at the end that both have.
func differentLines(a, b []byte) (head, restA, restB []byte) {
	same, at := 0, 0
	for at < len(a) && at < len(b) && a[at] == b[at] {
		if at++; a[at-1] == '\n' {
			same = at
		}
	}
	head, a, b = a[:same], a[same:], b[same:]
	same, at = 0, 0
	for at < len(a) && at < len(b) && a[len(a)-1-at] == b[len(b)-1-at] {
		at++
		if atStart := at == len(a) || a[len(a)-1-at] == '\n'; atStart && (at == len(b) || b[len(b)-1-at] == '\n') {
			same = at
		}
	}
	return head, a[:len(a)-same], b[:len(b)-same]
}

// itemsOf returns the items of a file. The error is why they are not known.
func itemsOf(name string, data []byte) ([]item, error) {
	if usersfile.Blank(data) {
		return nil, nil
	}
	switch path.Ext(name) {
	case ".csv":
		return numbered(rulesOf(data)), nil
	case ".yaml", ".yml", ".jsonl":
		return usersItems(name, data)
	}
	out, err := certificatesOf(name, data)
	return numbered(out), err
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

var errNoItems = errors.New("the file is none of users, rules, certificates or CRLs that can be read")

// certificatesOf returns the certificates or CRLs in a file.
func certificatesOf(name string, data []byte) (out []item, err error) {
	if certs, err := trustaccess.ReadCertificates(name, data); err == nil {
		for _, c := range certs {
			fingerprint := trust.FingerprintOf(c.Cert).String()
			out = append(out, item{"certificate", fingerprint, fmt.Sprintf("%s, until %s, sha256:%s", dn.Print(&c.Cert.Subject), formatTime(c.Cert.NotAfter), fingerprint)})
		}
		return out, nil
	}
	lists, err := trustaccess.ReadCRLs(name, data)
	if err != nil {
		return nil, errNoItems
	}
	for _, l := range lists {
		number := "no number"
		if l.List.Number != nil {
			number = "number " + l.List.Number.String()
		}
		// With the digest, because another list of the same length may have the same number.
		out = append(out, item{"crl", string(l.List.RawIssuer), fmt.Sprintf("CRL of %s, %s, revoked %d, next update %s, sha256:%x", dn.Print(&l.List.Issuer), number, len(l.List.RevokedCertificateEntries), formatTime(l.List.NextUpdate), sha256.Sum256(l.List.Raw))})
	}
	return out, nil
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
