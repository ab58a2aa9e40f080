package fileform

import (
	"bytes"
	"crypto/x509"
	"strconv"
	"strings"
)

// plural returns a number of things in words.
func plural(n int, noun string) string {
	if n == 1 {
		return "a " + noun
	}
	return itoa(n) + " " + noun + "s"
}

func itoa(n int) string { return strconv.Itoa(n) }

const (
	oidSignedData = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" // PKCS#7
	oidData       = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
)

// isKeystore recognises the keystores of Java that are not PKCS#12.
func isKeystore(data []byte) bool { return isJKS(data) || isJCEKS(data) }

func isJKS(data []byte) bool { return bytes.HasPrefix(data, []byte("\xfe\xed\xfe\xed")) }

func isJCEKS(data []byte) bool { return bytes.HasPrefix(data, []byte("\xce\xce\xce\xce")) }

// keystore explains a JKS or JCEKS file.
func (e *explainer) keystore(data []byte, pipe string) {
	noun, kind := "a Java keystore (JKS)", ""
	if isJCEKS(data) {
		noun, kind = "a Java keystore (JCEKS)", " JCEKS"
	}
	switch {
	case pipe != "", e.want == CRLs:
		e.is(noun, "")
	case e.want == Certificates:
		if kind != "" {
			kind = " -storetype" + kind
		}
		e.is(noun, "keytool -list -rfc"+kind+" -keystore "+e.file+" | "+blocks("CERTIFICATE"))
	case kind != "":
		e.is(noun, "")
		e.hint = "convert it: (umask 077; keytool -importkeystore -srckeystore " + e.file + " -srcstoretype" + kind + " -destkeystore " + e.output(".p12") + " -deststoretype PKCS12)"
	case e.want != Credential && e.want != Any: // their loaders read JKS
		e.is(noun, "")
		e.hint = "convert it: " + e.keysImport()
	}
}

// keysImport returns the command that writes each entry of a keystore as PEM.
func (e *explainer) keysImport() string {
	return "mtlsguard keys import " + e.file + " --password-file PASSWORD.txt --out " + e.output("")
}

// SeveralKeys returns the command that makes a JKS file, in which a key is chosen by its
// alias, of a PKCS#12 file with several keys.
func SeveralKeys(name string) string {
	e := &explainer{name: name, file: shellName(name)}
	return "(umask 077; keytool -importkeystore -srckeystore " + e.file + " -destkeystore " + e.output(".jks") + " -deststoretype JKS)"
}

// TrustStore returns the command that writes the certificates of a PKCS#12 file as PEM.
func TrustStore(name string) string {
	e := &explainer{name: name, file: shellName(name)}
	return e.run("", "openssl pkcs12 -nokeys") + " | " + blocks("CERTIFICATE") + " > " + e.output(".pem")
}

// der explains DER, and BER, of which DER is a part.
func (e *explainer) der(data []byte, pipe string) {
	v, rest, ok := next(data)
	if !ok {
		return // cut off
	}
	list := values(v.body)
	kind := tags(v.body, 4)
	switch {
	case strings.HasPrefix(kind, "\x06\xa0") && string(list[0].body) == oidSignedData:
		e.pkcs7(list[1].body, isBER(v, 0), "a PKCS#7 bundle%s in DER", pipe, "openssl pkcs7 -inform DER -print_certs")
	case strings.HasPrefix(kind, "\x02\x30") && string(list[0].body) == "\x03" && len(values(list[1].body)) > 0 && string(values(list[1].body)[0].body) == oidData:
		e.pkcs12(v, list, pipe)
	case kind == "\x30\x04" && len(values(list[0].body)) > 0 && values(list[0].body)[0].tag == 6:
		e.keyDER(ErrEncrypted, pipe)
	case kind[:min(2, len(kind))] == "\x02\x30" && len(list) > 2 && list[2].tag == 4, strings.HasPrefix(kind, "\x02\x02\x02\x02"), strings.HasPrefix(kind, "\x02\x04"):
		_, err := parseKeyDER(data[:len(data)-len(rest)])
		e.keyDER(err, pipe)
	default:
		e.signed(data, pipe)
	}
}

// keyDER explains a private key in DER.
func (e *explainer) keyDER(err error, pipe string) {
	noun, program := keyProgram(err)
	if err == nil {
		noun, program = "a private key", "openssl pkey"
	}
	switch {
	case noun == "":
	case e.want != Key || program == "":
		e.is(noun+" in DER", "")
	default:
		e.is(noun+" in DER", e.run(pipe, program+" -inform DER"))
	}
}

// signed explains certificates, requests and CRLs in DER.
func (e *explainer) signed(data []byte, pipe string) {
	der := first(data)
	if _, err := x509.ParseRevocationList(der); err == nil {
		e.lists(data, pipe)
		return
	}
	if _, err := x509.ParseCertificateRequest(der); err == nil {
		e.request(" in DER")
		return
	}
	if _, err := x509.ParsePKIXPublicKey(der); err == nil {
		e.is("a public key in DER", "")
		return
	}
	if _, err := x509.ParseCertificate(der); err != nil {
		return
	}
	count, command := e.each(data, "openssl x509 -inform DER")
	noun := plural(count, "certificate") + " in DER"
	switch {
	case e.want == Key, e.want == CRLs:
		e.is(noun, "")
	case pipe != "" && count > 1, e.want == Any && count == 1:
	case pipe != "":
		e.is(noun, pipe+" | openssl x509 -inform DER")
	case e.want == Credential:
		e.is(noun, "{ "+command+"; cat KEY.pem; }")
		e.hint = strings.Replace(e.hint, "convert it", "add its key", 1)
	default:
		e.is(noun, command)
	}
}

// lists explains CRLs in DER: a loader reads one of them.
func (e *explainer) lists(data []byte, pipe string) {
	count, command := e.each(data, "openssl crl -inform DER")
	switch {
	case e.want != CRLs:
		e.is("a CRL", "")
	case count > 1 && pipe == "":
		e.is(itoa(count)+" CRLs in DER one after the other", command)
	}
}

// request explains a certificate request (CSR).
func (e *explainer) request(form string) {
	e.is("a certificate request"+form, "")
	e.hint = "send it to the CA, and name the certificate that the CA issues"
}

// each returns the number of values in data, and a command that runs a program on each.
func (e *explainer) each(data []byte, program string) (int, string) {
	var commands []string
	size := len(data)
	for len(data) > 0 {
		_, rest, ok := next(data)
		if !ok {
			break
		}
		commands = append(commands, "tail -c +"+itoa(size-len(data)+1)+" "+e.file+" | "+program)
		data = rest
	}
	if len(commands) == 1 {
		return 1, e.run("", program)
	}
	return len(commands), "{ " + strings.Join(commands, "; ") + "; }"
}

// first returns the bytes of the value that data begins with.
func first(data []byte) []byte {
	_, rest, _ := next(data)
	return data[:len(data)-len(rest)]
}
