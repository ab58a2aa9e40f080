package site

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/usersload"
	"github.com/mtlsguard/mtlsguard/internal/workers"
	"github.com/mtlsguard/mtlsguard/trust"
)

// emptyTable stands in for a file that is not needed.
var emptyTable, _ = certmap.New()

func (l *loader) users(path string, f *config.File, ports []string) *certmap.Table {
	if l.program.Map != nil {
		return emptyTable
	}
	if f.Users.Value == "" {
		for _, p := range f.AllPorts() {
			if p.Authorizes() && (p.Trust != nil || p.Forwarded != nil) {
				l.wrong.Add(configerror.Error{File: path, Line: p.Line(), What: "users is missing, and a port requests certificates", Hint: "add users: users.yaml, which maps certificates to users, or set Options.Map in the program"})
				break
			}
		}
		return emptyTable
	}
	name := l.files.Beside(path, f.Users.Value)
	files, ok := l.usersFiles(f.Users.In(path), name)
	if !ok {
		return nil
	}
	settings := usersload.Settings{Ports: ports, Workers: workers.Limit(), ReadIssuer: func(issuer string) (trust.Digest, error) {
		l.reading.Lock()
		defer l.reading.Unlock()
		return l.issuer(files[0].Name, issuer) // all files stand in one folder
	}}
	var previous *certmap.Table
	if l.previous != nil {
		previous = l.previous.Table
	}
	table, err := usersload.Load(previous, files, settings)
	l.wrong.Merge(err, configerror.Error{File: name})
	if table != nil && table != previous && l.clock != nil {
		table = table.WithClock(l.clock) // one clock for certificates and for mappings
	}
	return table
}

// usersFiles returns the files of mappings that a name stands for: itself, or the .jsonl files
// in it if it is a folder.
func (l *loader) usersFiles(at configerror.Error, name string) ([]usersload.File, bool) {
	names, isFolder := l.files.List(name, ".jsonl")
	if !isFolder {
		names = []string{name}
	}
	var out []usersload.File
	for _, n := range names {
		digest, err := l.files.Digest(n)
		if isFolder && errors.Is(err, fileset.ErrNoFile) {
			continue // a folder in the folder
		}
		if err != nil {
			_, ok := l.text(at, n) // reports the error
			return nil, ok
		}
		out = append(out, usersload.File{Name: n, Digest: digest, Read: func() ([]byte, [sha256.Size]byte, bool) {
			l.reading.Lock()
			defer l.reading.Unlock()
			l.parsed["users"]++
			data, ok := l.text(at, n)
			digest, _ := l.files.Digest(n) // of this data
			l.files.Release(n)             // Load holds it while it needs it
			return data, digest, ok
		}})
	}
	if len(out) == 0 {
		l.blame(at, name, fmt.Sprintf("the folder %s holds no file whose name ends in .jsonl", name), "mtlsguard users split FILE FOLDER makes them of one file of users")
		return nil, false
	}
	return out, true
}

// issuer reads the public key of a CA certificate that a mapping names.
func (l *loader) issuer(users, name string) (trust.Digest, error) {
	file := l.files.Beside(users, name)
	data, err := l.files.Get(file)
	if err != nil {
		return trust.Digest{}, err
	}
	certs, err := trust.ReadCertificates(file, data)
	switch {
	case err != nil:
		l.wrong.Merge(err, configerror.Error{File: file}) // where it is wrong, besides where it is named
		return trust.Digest{}, err
	case len(certs) != 1:
		return trust.Digest{}, fmt.Errorf("%s holds %d certificates, and an issuer is one", file, len(certs))
	case !certs[0].IsCA:
		return trust.Digest{}, fmt.Errorf("%s is not the certificate of a CA", file)
	}
	return trust.SPKIOf(certs[0]), nil
}
