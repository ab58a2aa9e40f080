package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// ReadCertificates reads certificates from PEM (RFC 7468). Every block must be a
// certificate, and nothing but white space may stand around them: what is passed
// over in silence is what an auditor finds. The name is used in mistakes only.
func ReadCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := eachBlock(name, data, "CERTIFICATE", func(line int, der []byte) error {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return &configerror.Error{File: name, Line: line, What: "the certificate cannot be read: " + err.Error(), Hint: "openssl x509 -in FILE -noout -text shows what openssl makes of it"}
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, err // never a part of a file
	}
	return out, nil
}

const unreadableCRL = "take the CRL from the CA again; openssl asn1parse -in FILE (-inform DER) shows its parts; RFC 5280 section 5.1 has their order"

// ReadCRLs reads revocation lists from PEM, or one from DER, as strictly as
// ReadCertificates.
func readCRLs(name string, data []byte) ([]hook.CRL, error) {
	var out []hook.CRL
	parse := func(line int, der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return &configerror.Error{File: name, Line: line, What: "the CRL cannot be read: " + err.Error(), Hint: unreadableCRL}
		}
		if len(list.Raw) != len(der) {
			return &configerror.Error{File: name, Line: line, What: "something follows the CRL"}
		}
		if err := checkListSyntax(list); err != nil {
			return &configerror.Error{File: name, Line: line, What: "the CRL cannot be read: " + err.Error(), Hint: unreadableCRL}
		}
		out = append(out, hook.CRL{List: list, Line: line})
		return nil
	}
	if len(data) > 0 && data[0] == 0x30 { // a DER SEQUENCE; PEM starts with '-' or white space
		err := parse(1, data)
		return out, err
	}
	if err := eachBlock(name, data, "X509 CRL", parse); err != nil {
		return nil, err
	}
	return out, nil
}

// eachBlock calls f for every PEM block of data with the line that it starts in.
// All mistakes are reported together.
func eachBlock(name string, data []byte, kind string, f func(line int, der []byte) error) error {
	var wrong errorlist.List
	begin, end := []byte("-----BEGIN "+kind+"-----"), []byte("-----END "+kind+"-----")
	found := 0
	for line := 1; ; found++ {
		rest := bytes.TrimLeft(data, " \t\r\n")
		line += bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		if len(rest) == 0 {
			break
		}
		body, begun := bytes.CutPrefix(rest, begin)
		stop := bytes.Index(body, end)
		if !begun || stop < 0 {
			wrong.Add(notPEM(name, line, rest, kind))
			return wrong.Err()
		}
		if bytes.Contains(body[:stop], []byte("-----")) {
			// The end belongs to a later block; pem.Decode would pass over this one in silence.
			wrong.Add(unended(name, line))
			return wrong.Err()
		}
		stop += len(begin) + len(end)
		block, after := pem.Decode(rest[:stop])
		switch {
		case block == nil || len(after) > 0 || block.Type != kind:
			wrong.Add(configerror.Error{File: name, Line: line, What: "a damaged PEM block", Hint: "copy the file again"})
		case len(block.Headers) > 0:
			wrong.Add(configerror.Error{File: name, Line: line, What: "a PEM block with headers"})
		default:
			wrong.Merge(f(line, block.Bytes), configerror.Error{File: name, Line: line})
		}
		line += bytes.Count(rest[:stop], []byte("\n"))
		data = rest[stop:]
	}
	if found == 0 {
		wrong.Add(configerror.Error{File: name, Line: 1, What: "the file is empty", Hint: "a PEM file with at least one " + kind + " is wanted"})
	}
	return wrong.Err()
}

func unended(name string, line int) configerror.Error {
	return configerror.Error{File: name, Line: line, What: "the PEM block has no end", Hint: "the file was cut off: copy it again"}
}

func notPEM(name string, line int, rest []byte, kind string) configerror.Error {
	m := configerror.Error{File: name, Line: line}
	var other string
	if n, _ := fmt.Sscanf(string(rest[:min(len(rest), 64)]), "-----BEGIN %s", &other); n == 1 && bytes.HasPrefix(rest, []byte("-----BEGIN ")) {
		label, _, _ := bytes.Cut(rest[len("-----BEGIN "):min(len(rest), 80)], []byte("-----"))
		if string(label) == kind {
			return unended(name, line)
		}
		m.What = fmt.Sprintf("a %s block, where only %s blocks may stand", quote(string(label)), kind)
		m.Hint = "put keys and other things into files of their own"
		return m
	}
	m.What = "something that is not a PEM block of type " + kind
	m.Hint = "openssl x509 -in FILE -out NEWFILE writes a certificate without the text around it"
	if kind != "CERTIFICATE" {
		m.Hint = "openssl crl -in FILE -out NEWFILE writes a CRL without the text around it"
	}
	return m
}
