package trust

import (
	"crypto/x509"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

// ReadCertificates reads certificates from PEM (RFC 7468). It returns an error for any other
// block, and for anything but white space between the blocks: otherwise a damaged block
// would be ignored silently. The name appears in errors only. Each error is a
// *configerror.Error with the line.
func ReadCertificates(name string, data []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	err := pemfile.EachOnly(name, data, "CERTIFICATE", func(b pemfile.Block) error {
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return &configerror.Error{File: name, Line: b.Line, What: "the certificate cannot be read: " + err.Error(), Hint: "openssl x509 -in FILE -noout -text shows how openssl parses it"}
		}
		out = append(out, c)
		return nil
	})
	if err != nil {
		return nil, err // a file counts as a whole
	}
	return out, nil
}

const unreadableCRL = "download the CRL from the CA again; openssl asn1parse -in FILE (-inform DER) shows its parts; RFC 5280 section 5.1 has their order"

// readCRLs reads revocation lists from PEM, or one list from DER.
func readCRLs(name string, data []byte) ([]hook.CRL, error) {
	var out []hook.CRL
	parse := func(line int, der []byte) error {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return &configerror.Error{File: name, Line: line, What: "the CRL cannot be read: " + err.Error(), Hint: unreadableCRL}
		}
		if len(list.Raw) != len(der) {
			return &configerror.Error{File: name, Line: line, What: "there is data after the CRL"}
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
