package site

import (
	"bytes"
	"fmt"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/trust"
)

// emptyTable stands in for a file that is not needed.
var emptyTable, _ = certmap.New()

func (l *loader) users(path string, f *config.File, ports []string) *certmap.Table {
	if f.Users.Value == "" {
		for _, p := range f.AllPorts() {
			if p.Authorizes() && (p.Trust != nil || p.Forwarded != nil) {
				l.wrong.Add(configerror.Error{File: path, Line: p.Line(), What: "users is missing, and a port asks for certificates", Hint: "add users: users.yaml, which maps certificates to users"})
				break
			}
		}
		return emptyTable
	}
	name := l.files.Beside(path, f.Users.Value)
	data, ok := l.text(f.Users.In(path), name)
	if !ok {
		return nil
	}
	table, err := certmap.Load(name, bytes.NewReader(data), certmap.WithPorts(ports...), certmap.WithIssuers(func(issuer string) (trust.Digest, error) {
		return l.issuer(name, issuer)
	}))
	l.wrong.Merge(err, configerror.Error{File: name})
	if table != nil && l.clock != nil {
		table = table.WithClock(l.clock) // one clock for certificates and for mappings
	}
	return table
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
