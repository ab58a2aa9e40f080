package guardspiffe

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io/fs"
	"log/slog"
	"math/big"
	"path"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Files returns base with one more folder, in memory, for mtlsguard.OpenFS: its file
// TRUST-DOMAIN.pem is the current bundle of that trust domain. A running server sees a changed
// bundle as it sees any changed file. The file of a trust domain without a bundle holds an
// authority that can sign nothing, because its key does not exist any more: so a partner whose bundle is not
// there yet, or was withdrawn, does not stop the server, and none of its certificates is verified.
func (s *Source) Files(base fs.FS, folder string) fs.FS {
	return files{base, path.Clean(folder), s}
}

type files struct {
	base   fs.FS
	folder string
	source *Source
}

// Open implements fs.FS.
func (f files) Open(name string) (fs.File, error) {
	folder, file := path.Split(name)
	domain, ok := strings.CutSuffix(file, ".pem")
	if !fs.ValidPath(name) || !ok || path.Clean(folder) != f.folder {
		return f.base.Open(name)
	}
	if err := trust.CheckTrustDomain(domain); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	authorities := f.source.current.Load().bundles[domain]
	if len(authorities) == 0 {
		c, err := f.source.absentAuthority(domain)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		authorities = []*x509.Certificate{c}
	}
	var text bytes.Buffer
	for _, c := range authorities {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer has no errors
	}
	return &bundleFile{bytes.NewReader(text.Bytes()), file, int64(text.Len())}, nil
}

// placeholder is the authority of a trust domain without a bundle.
type placeholder struct {
	certificate *x509.Certificate
	logged      time.Time
}

// logAbsent is the time between two warnings about one trust domain.
const logAbsent = 10 * time.Minute

// absentAuthority returns the authority for a trust domain without a bundle: always the same,
// because other content would be a change of the file. Its key is thrown away.
func (s *Source) absentAuthority(domain string) (*x509.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.absent[domain]
	if p == nil {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "no bundle of " + domain[:min(len(domain), 40)]},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(100, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			return nil, err
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		p = &placeholder{certificate: c}
		s.absent[domain] = p
	}
	if now := time.Now(); now.Sub(p.logged) >= logAbsent {
		p.logged = now
		s.config.Log.Warn("SPIFFE: the Workload API sends no bundle of a trust domain, none of its certificates is verified", slog.String("trust_domain", domain))
	}
	return p.certificate, nil
}

// bundleFile is an open file.
type bundleFile struct {
	*bytes.Reader
	name string
	size int64
}

// Stat implements fs.File. The file has no times: its content is compared.
func (f *bundleFile) Stat() (fs.FileInfo, error) { return fileInfo{f.name, f.size}, nil }

// Close implements fs.File.
func (*bundleFile) Close() error { return nil }

type fileInfo struct {
	name string
	size int64
}

func (i fileInfo) Name() string     { return i.name }
func (i fileInfo) Size() int64      { return i.size }
func (fileInfo) Mode() fs.FileMode  { return 0o444 }
func (fileInfo) ModTime() time.Time { return time.Time{} }
func (fileInfo) IsDir() bool        { return false }
func (fileInfo) Sys() any           { return nil }
