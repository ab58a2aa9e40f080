package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Read returns the root node of the only document of a file. The error is a
// *configerror.Error with file and line. The YAML library has panicked on hostile text
// before: here that is an error.
func Read(file string, data []byte) (root *yaml.Node, err error) {
	defer func() {
		if recover() != nil {
			root, err = nil, &configerror.Error{File: file, What: "this is not YAML"}
		}
	}()
	// YAML of version 1.1 ends a line where neither editors nor other programs do, so that a
	// mapping can stand behind a comment, unseen. It also reads UTF-16.
	if at, what := escape.Misleading(data); what != "" {
		return nil, &configerror.Error{File: file, Line: 1 + bytes.Count(data[:at], []byte("\n")), What: "the file holds " + what, Hint: escape.MisleadingHint}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, &configerror.Error{File: file, What: "the file is empty"}
	case err != nil:
		line, what := lineOf(err, data)
		return nil, &configerror.Error{File: file, Line: line, What: "this is not YAML: " + escape.Printable(what, 2*escape.Short), Hint: syntaxHint(what)}
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return document.Content[0], nil
	case err != nil:
		line, what := lineOf(err, data)
		return nil, &configerror.Error{File: file, Line: line, What: "this is not YAML: " + escape.Printable(what, 2*escape.Short), Hint: syntaxHint(what)}
	}
	return nil, &configerror.Error{File: file, Line: second.Line, What: "the file holds a second document", Hint: "remove the --- line: one file holds one document"}
}

// Decode reads the only document of a file into a value as the YAML library does,
// without strictness about keys and types: for commands that show the content of a file, and
// decide nothing by it.
func Decode(file string, data []byte, into any) (err error) {
	root, err := Read(file, data)
	if err != nil {
		return err
	}
	defer func() {
		if recover() != nil {
			err = &configerror.Error{File: file, What: "this is not YAML"}
		}
	}()
	return root.Decode(into)
}

// lineOf takes the line out of an error of the YAML library, which has it only in its
// text.
func lineOf(err error, data []byte) (line int, what string) {
	what = strings.TrimPrefix(err.Error(), "yaml: ")
	if _, scanErr := fmt.Sscanf(what, "line %d:", &line); scanErr == nil {
		_, what, _ = strings.Cut(what, ": ")
	}
	if line > 0 && isOpen(what) {
		line = min(line+1, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))) // the library counts from 0 in these errors
	}
	return line, what
}

// isOpen reports whether an error is about a list or a mapping that does not end as it
// began. Its line is the one where the list or the mapping begins, or the wrong one if that is
// the first line.
func isOpen(what string) bool {
	for _, of := range []string{"'-' indicator", "expected key", "',' or ']'", "',' or '}'"} {
		if strings.HasSuffix(what, of) {
			return true
		}
	}
	return false
}

// syntaxHint returns the hint for an error of syntax that a missing quote may cause: an
// address such as [::1]:8443 begins a list, and {user} in braces begins a mapping. The hint
// of any other error is empty.
func syntaxHint(what string) string {
	for _, of := range []string{"did not find expected", "cannot start any token", "mapping values are not allowed", "unknown anchor"} {
		if strings.Contains(what, of) {
			hint := `put a value that holds any of [ ] { } : , * & @ % into quotes, such as "[::1]:8443" or "CN={user},OU=Staff"; or correct the brackets and the indentation`
			if isOpen(what) {
				hint += ". The wrong part is in that line or below"
			}
			return hint
		}
	}
	return ""
}
