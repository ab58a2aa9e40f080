// Package pemfile finds the PEM blocks (RFC 7468) of a file and rejects damaged ones.
//
// encoding/pem skips a block that it cannot read: an intermediate certificate that was cut
// off would be missing without an error. Here every block is read or reported with its
// line.
package pemfile

import (
	"bytes"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
)

// Block is one PEM block and the line that it begins in.
type Block struct {
	Label   string
	Headers map[string]string
	Bytes   []byte
	Line    int
}

var (
	beginning = []byte("-----BEGIN ")
	ending    = []byte("-----END ")
	dashes    = []byte("-----")
)

const maxLabel = 64 // bytes

// Each calls f for every block of data. Other text may stand between the blocks, as openssl
// writes it. All errors are returned together, those of f too, with file and line. A file
// without a block is not an error.
func Each(name string, data []byte, f func(Block) error) error {
	var wrong errorlist.List
	if i := bytes.IndexByte(data, 0); i >= 0 {
		wrong.Add(configerror.Error{File: name, Line: 1 + bytes.Count(data[:i], []byte("\n")), What: "a NUL byte: this is not text", Hint: "a PEM file is text"})
		return wrong.Err()
	}
	for line, at := 1, 0; ; {
		start := bytes.Index(data[at:], beginning)
		if start < 0 {
			return wrong.Err()
		}
		start += at
		line += bytes.Count(data[at:start], []byte("\n"))
		if start > 0 && data[start-1] != '\n' {
			wrong.Add(configerror.Error{File: name, Line: line, What: "a PEM block does not begin at the start of a line", Hint: "put -----BEGIN on a line of its own"})
			return wrong.Err()
		}
		rest := data[start:]
		label, _, _ := bytes.Cut(rest[len(beginning):min(len(rest), len(beginning)+maxLabel+len(dashes))], dashes)
		length := blockLength(rest, label)
		if length == 0 {
			wrong.Add(noEnd(name, line))
			return wrong.Err()
		}
		after, _, _ := bytes.Cut(rest[length:], []byte("\n"))
		if bytes.HasPrefix(after, beginning) {
			wrong.Add(configerror.Error{File: name, Line: line + bytes.Count(rest[:length], []byte("\n")), What: "a PEM block begins in the line in which another one ends", Hint: "separate them: " + fileform.Separate(name)})
		} else if len(bytes.Trim(bytes.TrimSuffix(after, []byte("\r")), " \t")) > 0 { // as encoding/pem
			wrong.Add(damaged(name, line))
		} else {
			readBlock(name, line, rest[:length], &wrong, f)
		}
		at = start + length
		line += bytes.Count(rest[:length], []byte("\n"))
	}
}

// EachOnly calls f for every block of data. Every block must have the given label and no
// headers, and only white space may stand around the blocks: what a reader skips, an
// auditor finds. All errors are returned together, those of f too, with file and line. A
// file without a block is an error.
func EachOnly(name string, data []byte, label string, f func(Block) error) error {
	var wrong errorlist.List
	found, whole := 0, data
	for line := 1; ; found++ {
		rest := bytes.TrimLeft(data, " \t\r\n")
		line += bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		if len(rest) == 0 {
			break
		}
		if !bytes.HasPrefix(rest, append(append(bytes.Clone(beginning), label...), dashes...)) {
			wrong.Add(otherText(name, line, rest, label, whole))
			return wrong.Err()
		}
		length := blockLength(rest, []byte(label))
		if length == 0 {
			wrong.Add(noEnd(name, line))
			return wrong.Err()
		}
		readBlock(name, line, rest[:length], &wrong, func(b Block) error {
			if len(b.Headers) > 0 {
				return &configerror.Error{File: name, Line: line, What: "the PEM block has headers", Hint: "write the block again without headers"}
			}
			return f(b)
		})
		line += bytes.Count(rest[:length], []byte("\n"))
		data = rest[length:]
	}
	if found == 0 {
		wrong.Add(configerror.Error{File: name, Line: 1, What: "the file is empty", Hint: "a PEM file with at least one " + label + " is required"})
	}
	return wrong.Err()
}

// blockLength returns the length of the block that text begins with, or 0 if the block has
// no end before the next block.
func blockLength(text, label []byte) int {
	head := len(beginning) + len(label) + len(dashes)
	if len(label) > maxLabel || len(text) < head {
		return 0
	}
	closing := append(append(bytes.Clone(ending), label...), dashes...)
	stop := bytes.Index(text[head:], closing)
	if stop < 0 || bytes.Contains(text[head:head+stop], dashes) {
		return 0
	}
	return head + stop + len(closing)
}

// readBlock decodes the one block in text and calls f.
func readBlock(name string, line int, text []byte, wrong *errorlist.List, f func(Block) error) {
	block, after := decode(text)
	if block == nil || len(after) > 0 {
		wrong.Add(damaged(name, line))
		return
	}
	err := f(Block{Label: block.Type, Headers: block.Headers, Bytes: block.Bytes, Line: line})
	for _, e := range configerror.All(err) {
		if e.File == "" {
			e.File, e.Line = name, line
		}
	}
	wrong.Merge(err, configerror.Error{File: name, Line: line})
}

func damaged(name string, line int) configerror.Error {
	return configerror.Error{File: name, Line: line, What: "the PEM block is damaged", Hint: "copy the file again"}
}

func noEnd(name string, line int) configerror.Error {
	return configerror.Error{File: name, Line: line, What: "the PEM block has no end", Hint: "the file is truncated: copy it again"}
}

// otherText returns the error for text that is not a block with the label. If the whole
// file is in another form, the error names it.
func otherText(name string, line int, text []byte, label string, whole []byte) configerror.Error {
	want := fileform.Certificates
	if label == "X509 CRL" {
		want = fileform.CRLs
	}
	if e := fileform.Explain(name, whole, want); e != nil {
		return *e
	}
	e := configerror.Error{File: name, Line: line, Hint: "remove the rest: " + fileform.Only(name, label)}
	if !bytes.Contains(whole, append(append(bytes.Clone(beginning), label...), dashes...)) {
		e.Hint = "a PEM file with at least one " + label + " block is required"
	}
	if after, ok := bytes.CutPrefix(text[:min(len(text), 80)], beginning); ok {
		other, _, _ := bytes.Cut(after, dashes)
		if string(other) == label {
			return noEnd(name, line)
		}
		e.What = fmt.Sprintf("a %.64q block among %s blocks", other, label)
		return e
	}
	e.What = "text that is not a PEM block of type " + label
	return e
}
