package nginxconf

import (
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

// expand returns the value for a text that the pattern matches. It returns false for a
// variable that is no capture.
func expand(p *regex.Pattern, value string, found []string) (string, bool) {
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(value, "$")
		b.WriteString(before)
		if !more {
			return b.String(), true
		}
		name, braced := rest, strings.HasPrefix(rest, "{")
		if braced {
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return "", false
			}
			name, rest = rest[1:end], rest[end+1:]
		} else {
			end := 0
			for end < len(rest) && regex.IsWord(rest[end:end+1]) {
				end++
			}
			name, rest = rest[:end], rest[end:]
		}
		number, err := strconv.Atoi(name)
		if err != nil {
			for i, n := range p.Names {
				if n == name && name != "" {
					number = i + 1
				}
			}
		}
		if number < 1 || number >= len(found) {
			return "", false
		}
		b.WriteString(found[number])
		value = rest
	}
}

// isCapture reports whether a value is one capture and nothing else, and returns its number.
func isCapture(p *regex.Pattern, value string) (int, bool) {
	marks := make([]string, len(p.Names)+1)
	for i := range marks {
		marks[i] = "\x00" + strconv.Itoa(i)
	}
	out, ok := expand(p, value, marks)
	if !ok || !strings.HasPrefix(out, "\x00") {
		return 0, false
	}
	number, err := strconv.Atoi(out[1:])
	return number, err == nil
}
