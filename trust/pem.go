package trust

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// ReadCertificates reads certificates from PEM (RFC 7468). It returns an error for any other
// block, and for anything but white space between the blocks: otherwise a damaged block
// would be ignored silently. The name appears in errors only. Each error is a
// *configerror.Error with the line.
func ReadCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	list, err := readCertificates(name, data)
	var out []*x509.Certificate
	for _, c := range list {
		out = append(out, c.Cert)
	}
	return out, err
}

// Files reads the certificates of PEM files, such as for Config.Anchors. A file without a
// certificate is an error, and so is anything else in it; see ReadCertificates. Files does not
// watch them.
func Files(paths ...string) ([]*x509.Certificate, error) {
	var wrong errorlist.List
	var out []*x509.Certificate
	if len(paths) == 0 {
		wrong.Add(configerror.Error{What: "Files: no file is named", Hint: "name the PEM files with the certificates of your CAs"})
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			wrong.Add(configerror.Error{File: path, What: "cannot be read: " + reasonOf(err), Hint: "check the name: it is relative to the working directory"})
			continue
		}
		certs, err := ReadCertificates(path, data)
		if err == nil && len(certs) == 0 {
			wrong.Add(configerror.Error{File: path, Line: 1, What: "the file holds no certificate", Hint: "a PEM file with the certificates of your CAs"})
		}
		wrong.Merge(err, configerror.Error{File: path})
		out = append(out, certs...)
	}
	if err := wrong.Err(); err != nil {
		return nil, err // not a part of the anchors
	}
	return out, nil
}

// reasonOf returns the text of a file's error without the name of the file.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// readCertificates is ReadCertificates with the line of each certificate.
func readCertificates(name string, data []byte) ([]hook.Certificate, error) {
	var out []hook.Certificate
	err := pemfile.EachOnly(name, data, "CERTIFICATE", func(b pemfile.Block) error {
		c, err := algorithm.ParseCertificate(b.Bytes)
		if err != nil {
			if len(out) == 0 && fileform.IsPKCS7(b.Bytes) {
				if e := fileform.Explain(name, data, fileform.Certificates); e != nil {
					return e
				}
			}
			return &configerror.Error{File: name, Line: b.Line, What: "the certificate cannot be read: " + err.Error(), Hint: fileform.Show(name, b.Line, b.Bytes)}
		}
		out = append(out, hook.Certificate{Cert: c, Line: b.Line})
		return nil
	})
	if err != nil {
		return nil, err // a file counts as a whole
	}
	return out, nil
}

const crlSyntax = "download the CRL from the CA again, or have it issued again; RFC 5280 section 5.1 has its parts"

// readCRLs reads revocation lists from PEM, or one list from DER.
func readCRLs(name string, data []byte) (out []hook.CRL, err error) {
	err = eachCRL(name, data, func([]byte, int) bool { return false }, func(l hook.CRL) { out = append(out, l) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parseCRLs is readCRLs for lists that verifiers share.
func parseCRLs(name string, data []byte) (out []hook.ParsedCRL, err error) {
	add := func(l *parsedCRL, line int) { out = append(out, hook.ParsedCRL{List: l.list, Line: line, Parsed: l}) }
	plain := func(raw []byte, line int) bool {
		l, ok := parsePlainCRL(raw)
		if ok {
			add(l, line)
		}
		return ok
	}
	if err := eachCRL(name, data, plain, func(l hook.CRL) { add(parseReadCRL(l.List), l.Line) }); err != nil {
		return nil, err // a file counts as a whole
	}
	return out, nil
}

// eachCRL offers the DER of each list to plain, and calls other with each list that plain did
// not take.
func eachCRL(name string, data []byte, plain func(raw []byte, line int) bool, other func(hook.CRL)) error {
	isDER := len(data) > 0 && data[0] == 0x30 // a DER SEQUENCE; PEM starts with '-' or white space
	unreadable := func(line int, der []byte, err error) error {
		hint := crlSyntax
		if !isDER {
			hint += "; " + strings.TrimPrefix(fileform.Show(name, line, der), "have it issued again; ")
		}
		return &configerror.Error{File: name, Line: line, What: "the CRL cannot be read: " + err.Error(), Hint: hint}
	}
	parse := func(line int, der []byte) error {
		if plain(der, line) {
			return nil
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil && fileform.IsVersion1List(der) {
			return &configerror.Error{File: name, Line: line, What: fileform.Version1, Hint: fileform.Version2Hint}
		}
		if err != nil {
			return unreadable(line, der, err)
		}
		if len(list.Raw) != len(der) {
			return &configerror.Error{File: name, Line: line, What: "there is data after the CRL"}
		}
		if err := checkListSyntax(list); err != nil {
			return unreadable(line, der, err)
		}
		other(hook.CRL{List: list, Line: line})
		return nil
	}
	if isDER {
		err := parse(1, data)
		if err != nil {
			if e := fileform.Explain(name, data, fileform.CRLs); e != nil {
				return e
			}
		}
		return err
	}
	return pemfile.EachOnly(name, data, "X509 CRL", func(b pemfile.Block) error { return parse(b.Line, b.Bytes) })
}
