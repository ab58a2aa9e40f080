package site

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// err joins the errors. An error of a file that several ports name is reported once.
func (l *loader) err() error {
	var once []error
	seen := map[configerror.Error]bool{}
	for _, m := range configerror.All(l.wrong.Err()) {
		if m.Hint == "" {
			m.Hint = "write key: value lines, indented alike, with blanks and not with tabs"
			if m.File != l.path {
				m.Hint = "compare it with a file that works"
			}
		}
		if named, ok := l.namedAt[m.File]; ok && !strings.HasSuffix(m.What, " ("+named+")") {
			m.What += " (" + named + ")"
		}
		if !seen[*m] {
			seen[*m] = true
			once = append(once, m)
		}
	}
	return errors.Join(once...)
}

// name notes the position at which a file is named first.
func (l *loader) name(at configerror.Error, name string) {
	if l.namedAt == nil {
		l.namedAt = map[string]string{}
	}
	if _, ok := l.namedAt[name]; !ok && at.Line > 0 {
		at.Column = 0
		l.namedAt[name] = l.where + at.Position()
	}
}

// need reads a file, or adds an error: at the start with the position at which the file is
// named, later with the name of the file.
func (l *loader) need(at configerror.Error, name string) ([]byte, bool) {
	l.name(at, name)
	data, err := l.files.Get(name)
	if err == nil {
		return data, true
	}
	if what, ok := strings.CutPrefix(err.Error(), name+" "); ok && name == l.path {
		l.wrong.Add(configerror.Error{File: name, What: what, Hint: "check the name: it is relative to the working directory"})
		return nil, false
	}
	l.blame(at, name, err.Error(), "check the name: it is relative to the file that names it")
	return nil, false
}

// digest is need for a file that may not have to be parsed: it returns the digest of its
// content.
func (l *loader) digest(at configerror.Error, name string) ([sha256.Size]byte, bool) {
	digest, err := l.files.Digest(name)
	if err != nil {
		_, ok := l.need(at, name) // reports the error
		return digest, ok
	}
	l.name(at, name)
	return digest, true
}

// text is need for files that people write. It rejects a private key in the wrong place:
// errors quote the text, so the key would end up in logs.
func (l *loader) text(at configerror.Error, name string) ([]byte, bool) {
	data, ok := l.need(at, name)
	if ok && (bytes.Contains(data, []byte("-----BEGIN ")) || bytes.Contains(data, []byte("PRIVATE KEY"))) {
		l.wrong.Add(configerror.Error{File: name, What: "the file holds a certificate or a key", Hint: "write the text that belongs here; replace the key if others could read it"})
		return nil, false
	}
	return data, ok
}

// blame adds an error of a file as a whole.
func (l *loader) blame(at configerror.Error, name, what, hint string) {
	at.What, at.Hint = what, hint
	if l.previous != nil && at.File != name {
		at = configerror.Error{File: name, What: what, Hint: "it is named at " + at.Position()}
	}
	l.wrong.Add(at)
}

// warn adds a warning: the server logs it when it starts and after a reload, and Lint reports
// the same text.
func (l *loader) warn(about string, at configerror.Error, what, hint string) {
	l.warnings = append(l.warnings, configerror.Finding{About: about, File: at.File, Line: at.Line, What: what, Hint: hint})
}

// rejectEmptied rejects a file that had content and has none now: it is being written, or
// writing it failed.
func (l *loader) rejectEmptied() {
	if l.previous == nil {
		return
	}
	for name, c := range l.files.Read {
		if old, ok := l.previous.Files.Read[name]; ok && c.Empty() && old.Err == nil && !old.Empty() {
			l.wrong.Add(configerror.Error{File: name, Line: 1, What: "the file has become empty", Hint: "write a new file, and rename it over the old one"})
		}
	}
}

// placed returns err with a position for each configuration error that has none.
func placed(err error, path string, line int) error {
	var out []error
	for _, m := range configerror.All(err) {
		if m.File == "" {
			m.File, m.Line = path, line
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return err
	}
	return errors.Join(out...)
}
