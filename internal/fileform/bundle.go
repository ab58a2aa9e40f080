package fileform

import (
	"bytes"
	"fmt"
	"strings"
)

// pkcs7 explains a PKCS#7 bundle by its SignedData.
func (e *explainer) pkcs7(content []byte, ber bool, noun, pipe, program string) {
	certificates, lists := bundled(content)
	var holds []string
	if certificates > 0 {
		holds = append(holds, plural(certificates, "certificate"))
	}
	if lists > 0 {
		holds = append(holds, plural(lists, "CRL"))
	}
	of := ""
	if len(holds) > 0 {
		of = " of " + strings.Join(holds, " and ")
	}
	noun = fmt.Sprintf(noun, of)
	if ber {
		noun = strings.Replace(noun, "in DER", "in BER", 1)
	}
	command := e.run(pipe, program) + " | " + blocks(e.want.label())
	switch {
	case e.want == Key, e.want == CRLs && lists == 0, e.want != CRLs && certificates == 0:
		e.is(noun, "")
	case e.want == Credential:
		e.is(noun, "{ "+e.run(pipe, program)+" | "+blocks("CERTIFICATE")+"; cat KEY.pem; }")
		e.hint = strings.Replace(e.hint, "convert it", "add its key", 1)
	default:
		e.is(noun, command)
	}
}

// bundled returns the numbers of certificates and CRLs in a SignedData (RFC 2315 section
// 9.1).
func bundled(content []byte) (certificates, lists int) {
	for _, v := range values(firstBody(content)) {
		switch v.tag {
		case 0xa0:
			certificates = len(values(v.body))
		case 0xa1:
			lists = len(values(v.body))
		}
	}
	return certificates, lists
}

// pkcs12 explains a PKCS#12 file. A loader of credentials reads the usual ones.
func (e *explainer) pkcs12(v value, list []value, pipe string) {
	noun := "a PKCS#12 file"
	unusual := ""
	switch {
	case isBER(v, 0):
		unusual = " in BER instead of DER"
	case len(list) < 3:
		unusual = " without a MAC"
	case !knownMAC(list[2].body):
		unusual = " with a MAC that is not supported"
	}
	program := "openssl pkcs12"
	if bytes.Contains(v.body, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x06")) || bytes.Contains(v.body, []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x05")) {
		program += " -legacy" // RC2: openssl 3 has it in the legacy provider only
	}
	switch e.want {
	case Credential, Any:
		if unusual != "" {
			e.is(noun+unusual, e.run(pipe, program+" -nodes")+" | "+blocks("[A-Z ]*"))
		}
	case Key:
		e.is(noun, e.run(pipe, program+" -nocerts -nodes")+" | "+blocks("[A-Z ]*PRIVATE KEY"))
	case CRLs:
		e.is(noun, "")
	default:
		e.is(noun, e.run(pipe, program+" -nokeys")+" | "+blocks("CERTIFICATE"))
	}
}

// knownMAC reports whether package javaks can verify the MAC of a PKCS#12 file.
func knownMAC(mac []byte) bool {
	for _, oid := range []string{
		"\x06\x05\x2b\x0e\x03\x02\x1a",                 // SHA-1
		"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", // SHA-256
		"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03", // SHA-512
		"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0e", // PBMAC1
	} {
		if algorithm := firstBody(firstBody(mac)); bytes.HasPrefix(algorithm, []byte(oid)) {
			return true
		}
	}
	return false
}
