package nginxconf

import (
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// renameCaptured adds a mapping for each name of --rename that a carried pattern would capture: the
// pattern itself gives a certificate the name that it has there.
func (t *translation) renameCaptured(l *importer.Line, r *role, e *entry, pattern importer.Mapping) {
	all := t.in.Renames()
	for _, from := range slices.Sorted(maps.Keys(all)) {
		if strings.Trim(from, letters+"0123456789._@- ") != "" || strings.TrimSpace(from) != from {
			continue // OpenSSL may write it otherwise
		}
		found := t.lookUp(r, textWith(t.pattern(e), from))
		if !found.known || found.entry != e || found.value != from {
			continue // another line decides
		}
		m := pattern
		m.User, _ = t.in.Rename(from)
		m.Value, m.Pattern = withCaptured(pattern.Value, from), false
		if !t.isDenied(m) {
			l.Map(m)
		}
	}
}

// textWith returns a text that a pattern with one open value matches, with this value.
func textWith(p *regex.Pattern, value string) string {
	out := ""
	for _, one := range p.Pieces {
		if one.Set != "" {
			out += value
		}
		out += one.Literal
	}
	return out
}

// withCaptured returns the subject of a pattern with a value in place of {user}.
func withCaptured(pattern, value string) string {
	return strings.Replace(pattern, username.Variable, dn.Attribute{OID: commonName, Value: value}.String()[len("CN="):], 1)
}
