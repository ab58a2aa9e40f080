package nginxconf

import (
	"errors"
	"strings"
)

// token is a word of a configuration, or one of ; { }.
type token struct {
	line int
	text string
	mark byte // ';', '{' or '}'; 0 for a word
}

var errSyntax = errors.New("unexpected")

// tokenize splits a configuration as ngx_conf_read_token does: quotes, # comments, and \ before
// a quote, a backslash, t, r and n. Another \ stays.
func tokenize(data string) ([]token, int, error) {
	var out []token
	line := 1
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case c == '\n':
			line++
			i++
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			for i < len(data) && data[i] != '\n' {
				i++
			}
		case c == ';' || c == '{' || c == '}':
			out = append(out, token{line: line, mark: c})
			i++
		default:
			start := line
			text, n, err := readWord(data[i:])
			if err != nil {
				return nil, line, err
			}
			line += strings.Count(data[i:i+n], "\n")
			i += n
			out = append(out, token{line: start, text: text})
		}
	}
	return out, line, nil
}

// readWord reads a word, and returns how many bytes it takes.
func readWord(data string) (string, int, error) {
	quote := byte(0)
	i := 0
	if data[0] == '"' || data[0] == '\'' {
		quote, i = data[0], 1
	}
	var b strings.Builder
	for i < len(data) {
		c := data[i]
		switch {
		case c == '\\' && i+1 < len(data):
			switch next := data[i+1]; next {
			case '"', '\'', '\\':
				b.WriteByte(next)
			case 't':
				b.WriteByte('\t')
			case 'r':
				b.WriteByte('\r')
			case 'n':
				b.WriteByte('\n')
			default:
				b.WriteString(data[i : i+2])
			}
			i += 2
			continue
		case quote != 0 && c == quote:
			i++
			if i < len(data) && !strings.ContainsRune(" \t\r\n;{)", rune(data[i])) {
				return "", 0, errSyntax
			}
			return b.String(), i, nil
		case quote == 0 && c == '$' && i+1 < len(data) && data[i+1] == '{':
			b.WriteString("${")
			i += 2
			continue
		case quote == 0 && strings.IndexByte(" \t\r\n;{", c) >= 0:
			return b.String(), i, nil
		}
		b.WriteByte(c)
		i++
	}
	if quote != 0 {
		return "", 0, errSyntax
	}
	return b.String(), i, nil
}
