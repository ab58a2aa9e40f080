package trust

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// ReadCertificates reads certificates from PEM (RFC 7468). Every block must be a
// certificate, and nothing but white space may stand around them: what is passed
// over in silence is what an auditor finds. The name is used in mistakes only.
func ReadCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := pemfile.EachOnly(name, data, "CERTIFICATE", func(b pemfile.Block) error {
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return &configerror.Error{File: name, Line: b.Line, What: "the certificate cannot be read: " + err.Error(), Hint: "openssl x509 -in FILE -noout -text shows what openssl makes of it"}
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
	if err := pemfile.EachOnly(name, data, "X509 CRL", func(b pemfile.Block) error { return parse(b.Line, b.Bytes) }); err != nil {
		return nil, err
	}
	return out, nil
}
