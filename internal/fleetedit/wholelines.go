package fleetedit

import (
	"bytes"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

// listOf returns a file of users with these lines.
func listOf(lines []byte) []byte {
	if usersfile.Blank(lines) {
		return nil
	}
	return append([]byte("mappings:\n"), lines...)
}

// areWholeMappings reports whether each of these lines of a file of users means the same without the lines around them,
// and changes nothing about these: it is blank, a comment, or a whole mapping.
//
// That holds only between mappings, see endsBetweenMappings. Inside a quoted value, which may go on for several lines, a
// line that looks like a comment is part of the value.
func areWholeMappings(lines []byte) bool {
	for line := range bytes.Lines(lines) {
		if !isWholeMapping(line) {
			return false
		}
	}
	return true
}

// endsBetweenMappings reports whether the lines after this beginning of a file of users stand between its mappings.
func endsBetweenMappings(head []byte) bool {
	for line := range bytes.Lines(head) {
		if !isWholeMapping(line) && string(bytes.TrimRight(line, " \r\n")) != "mappings:" {
			return false
		}
	}
	return true
}

// isWholeMapping reports whether a line is blank, a comment, or a mapping in the flow style of YAML that ends where the
// line ends and has no anchor, which an alias in another line could name. It returns false for what it does not know.
func isWholeMapping(line []byte) bool {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return true
	}
	if !bytes.HasPrefix(line, []byte("- {")) {
		return false
	}
	depth, last := 0, byte(0) // last is the last byte before this one that is not a blank
	for i := len("- "); i < len(line); i++ {
		switch c := line[i]; c {
		case ' ':
			continue
		case '"', '\'':
			// Elsewhere a quote is a character like others.
			if before := line[i-1]; !strings.ContainsRune("{[,:", rune(last)) || before == ':' {
				return false
			}
			if i = endOfQuoted(line, i); i < 0 {
				return false
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i == len(line)-1
			}
		case '#', '&', '*', '!':
			return false // a comment, an anchor, an alias or a tag, or part of a text
		}
		last = line[i]
	}
	return false
}

// endOfQuoted returns the index of the quote that ends the value that begins at start, or -1 if the line has none.
func endOfQuoted(line []byte, start int) int {
	quote := line[start]
	for i := start + 1; i < len(line); i++ {
		switch {
		case line[i] == quote:
			return i
		case line[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}
