package certmap

import (
	"crypto/sha256"
	"io"
	"runtime"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Option changes how Load reads a file.
type Option func(*settings)

// WithPorts names the ports. A mapping for another port is then an error. Without this
// option Load takes every name.
func WithPorts(names ...string) Option {
	return func(s *settings) {
		s.ports = map[string]bool{}
		for _, n := range names {
			s.ports[n] = true
		}
	}
}

// WithIssuers sets the function that returns the SHA-256 of the public key of the CA
// certificate in a file, for mappings that name their issuer by file. Load calls it once
// for each path, as written, and never twice at a time; the function decides what the path is
// relative to. Without this option an issuer that is not a SHA-256 is an error.
func WithIssuers(read func(path string) (trust.Digest, error)) Option {
	return func(s *settings) { s.issuers.read = read }
}

// Load reads users.yaml and makes its table. The error joins every configuration error with
// file, line and hint: unknown keys, missing values, and everything that New would report,
// conflicts included. name stands for the file in errors. A file without content is an
// error; "mappings: []" maps no certificate.
//
// A file whose name ends in .jsonl holds JSON lines by the same rules: one mapping a line
// with the keys of users.yaml. It is for tables that a program writes, because it is read
// on all cores, and by itself faster than YAML.
//
//	{"id": "alice-2026", "user": "alice", "fingerprint": "9f86…"}
//
// Values are taken as written: serial: 1000 is hex, with or without quotes. Aliases are
// followed; tags, merge keys and a second document are errors.
func Load(name string, r io.Reader, options ...Option) (*Table, error) {
	data, err := readAll(r)
	if err != nil {
		return nil, &configerror.Error{File: name, What: "the file cannot be read: " + err.Error()}
	}
	s := newSettings()
	for _, o := range options {
		if o != nil {
			o(s)
		}
	}
	read := func() ([]byte, [sha256.Size]byte, bool) { return data, [sha256.Size]byte{}, true }
	return s.load(nil, []hook.File{{Name: name, Read: read}}, runtime.GOMAXPROCS(0))
}

// readAll reads everything, without the copies of io.ReadAll if the size is known.
func readAll(r io.Reader) ([]byte, error) {
	if sized, ok := r.(interface{ Len() int }); ok {
		data := make([]byte, sized.Len())
		n, err := io.ReadFull(r, data)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, err
		}
		rest, err := io.ReadAll(r)
		return append(data[:n], rest...), err
	}
	return io.ReadAll(r)
}
