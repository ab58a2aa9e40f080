package importer

import (
	"crypto/sha1" //nolint:gosec // other programs print SHA-1: it finds a certificate that is at hand, and decides nothing
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Certificates are the certificates of users that are at hand, with their files. With them a
// text that names no certificate exactly, such as a common name, becomes a mapping that does.
type Certificates struct {
	all         []*Certificate
	authorities []*x509.Certificate // in the same files; they are no issuers of mappings
	digest      map[string]*Certificate
	unreadable  []string
}

// Certificate is a certificate of a user and its file.
type Certificate struct {
	File  string
	Cert  *x509.Certificate
	chain []*x509.Certificate // with its intermediates
}

// maxCertificates bounds the files of --certs.
const maxCertificates = 100_000

// readCertificates reads files and folders.
func readCertificates(names []string) (*Certificates, error) {
	c := &Certificates{digest: map[string]*Certificate{}}
	var errs errorlist.List
	files := 0
	for _, name := range names {
		err := filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || d.IsDir():
				return err
			case files == maxCertificates:
				return fmt.Errorf("more than %d files", maxCertificates)
			}
			files++
			c.readFile(file, file == name, &errs)
			return nil
		})
		if err != nil {
			if inner, ok := errors.AsType[*os.PathError](err); ok {
				err = inner.Err
			}
			errs.Add(configerror.Error{File: name, What: "--certs: the certificates cannot be read: " + err.Error(), Hint: "--certs with a file or a folder of certificates"})
		}
	}
	return c, errs.Err()
}

// readFile reads a file. One of a folder may be something else than a certificate.
func (c *Certificates) readFile(name string, named bool, errs *errorlist.List) {
	entries, err := certfile.Read(name, certfile.Passwords{})
	switch {
	case err != nil && named:
		errs.Merge(err, configerror.Error{File: name})
	case err != nil && isCertificateFile(name):
		c.unreadable = append(c.unreadable, name)
	}
	for _, e := range entries {
		for _, cert := range append(e.Chain, e.Replaced...) {
			c.add(&Certificate{name, cert, e.Chain})
		}
	}
}

// isCertificateFile reports whether a file without readable certificates seems to be meant as one.
// A folder has keys and CRLs too.
func isCertificateFile(name string) bool {
	if !slices.Contains([]string{".pem", ".crt", ".cer", ".der", ".p12", ".pfx"}, strings.ToLower(filepath.Ext(name))) || strings.Contains(name, ".crl") {
		return false
	}
	_, err := certfile.ReadKey(name)
	return err != nil
}

// Add adds a certificate that the source itself has, and returns it. An authority is not added.
func (c *Certificates) Add(file string, cert *x509.Certificate) *Certificate {
	return c.add(&Certificate{file, cert, []*x509.Certificate{cert}})
}

func (c *Certificates) add(one *Certificate) *Certificate {
	sha256 := trust.FingerprintOf(one.Cert).String()
	if known := c.digest[sha256]; known != nil {
		return known
	}
	if one.Cert.IsCA {
		if !slices.ContainsFunc(c.authorities, one.Cert.Equal) {
			c.authorities = append(c.authorities, one.Cert)
		}
		return one
	}
	c.all = append(c.all, one)
	c.digest[sha256], c.digest[one.SHA1()] = one, one
	return one
}

// All returns the certificates in the order of the files.
func (c *Certificates) All() []*Certificate { return c.all }

// ByDigest returns the certificate with a SHA-1 or SHA-256 in hex, with or without colons, or nil.
func (c *Certificates) ByDigest(text string) *Certificate {
	return c.digest[strings.ToLower(strings.ReplaceAll(text, ":", ""))]
}

// InFile returns the certificates of a file, which may be named by the end of its path.
func (c *Certificates) InFile(name string) (out []*Certificate) {
	for _, one := range c.all {
		if one.File == name || strings.HasSuffix(one.File, string(filepath.Separator)+name) {
			out = append(out, one)
		}
	}
	return out
}

// Where returns the certificates for which f is true.
func (c *Certificates) Where(f func(*x509.Certificate) bool) (out []*Certificate) {
	for _, one := range c.all {
		if f(one.Cert) {
			out = append(out, one)
		}
	}
	return out
}

// Fingerprint returns the mapping of a user to exactly this certificate.
func (c *Certificate) Fingerprint(user string) Mapping {
	all, _ := useredit.KindValues(c.Cert, "fingerprint")
	return Mapping{User: user, Kind: "fingerprint", Value: all[0], Note: c.File}
}

// SHA1 returns the SHA-1 of the certificate in lower-case hex, as nginx and HAProxy print it.
func (c *Certificate) SHA1() string {
	digest := sha1.Sum(c.Cert.Raw) //nolint:gosec // see above
	return hex.EncodeToString(digest[:])
}

// Serial returns the serial number in upper-case hex with an even number of digits, as OpenSSL
// prints it.
func (c *Certificate) Serial() string {
	text := useredit.Serial(c.Cert)
	if len(text)%2 == 1 {
		text = "0" + text
	}
	return text
}

// formatName returns the subject of a certificate for people.
func formatName(c *x509.Certificate) string { return fmt.Sprintf("%q", dn.Print(&c.Subject)) }

func formatIssuer(c *x509.Certificate) string { return fmt.Sprintf("%q", dn.Print(&c.Issuer)) }
