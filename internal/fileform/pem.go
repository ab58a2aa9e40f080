package fileform

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"strings"
)

// IsPKCS7 reports whether DER holds PKCS#7, which some programs label CERTIFICATE.
func IsPKCS7(der []byte) bool { return block{Block: &pem.Block{Type: "PKCS7", Bytes: der}}.isPKCS7() }

// scan returns the blocks of a PEM file that can be decoded, with their lines.
func scan(data []byte) (out []block) {
	line := 1
	for {
		b, rest := pem.Decode(data)
		if b == nil {
			return out
		}
		read := bytes.TrimRight(data[:len(data)-len(rest)], "\r\n")
		last := line + bytes.Count(read, []byte("\n"))
		begin := bytes.LastIndex(read, append(bytes.Clone(pemBegin), b.Type...))
		if begin < 0 {
			begin = 0
		}
		out = append(out, block{b, line + bytes.Count(read[:begin], []byte("\n")), last})
		line += bytes.Count(data[:len(data)-len(rest)], []byte("\n"))
		data = rest
	}
}

// isPKCS7 reports whether a block holds PKCS#7. Some programs label it CERTIFICATE.
func (b block) isPKCS7() bool {
	switch b.Type {
	case "PKCS7", "PKCS #7 SIGNED DATA", "CMS", "CERTIFICATE":
		v := values(firstBody(b.Bytes))
		return len(v) > 1 && v[0].tag == 6 && string(v[0].body) == oidSignedData
	}
	return false
}

// program returns the openssl command that writes the wanted form of a block; "" if the
// block has it.
func (b block) program() (noun, program string) {
	switch {
	case b.isPKCS7() && b.Type == "CMS":
		return "PKCS#7", "openssl cms -cmsout -inform PEM -outform DER | openssl pkcs7 -inform DER -print_certs"
	case b.isPKCS7():
		return "PKCS#7", "openssl pkcs7 -print_certs"
	case b.Type == "TRUSTED CERTIFICATE":
		return `a certificate with openssl's trust settings (label "TRUSTED CERTIFICATE")`, "openssl x509"
	case b.Type == "X509 CERTIFICATE":
		return `a certificate with the old label "X509 CERTIFICATE"`, "openssl x509"
	}
	return "", ""
}

// pem explains a PEM file by its blocks.
func (e *explainer) pem(data []byte, pipe string) {
	all := scan(data)
	if len(all) == 0 {
		return // damaged
	}
	count := map[string]int{}
	for _, b := range all {
		switch {
		case b.isPKCS7():
			count["p7"]++
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			count["key"]++
		case strings.HasSuffix(b.Type, "CERTIFICATE REQUEST"):
			count["CERTIFICATE REQUEST"]++
		default:
			count[b.Type]++
		}
	}
	certificates := count["CERTIFICATE"] + count["X509 CERTIFICATE"] + count["TRUSTED CERTIFICATE"]
	switch e.want {
	case Key:
		if count["key"] > 0 {
			e.keys(all, pipe)
			return
		}
	case CRLs:
		if count["X509 CRL"] > 0 {
			return
		}
	case Credential, Any:
		if count["key"] > 0 {
			if e.keys(all, pipe); e.what != "" {
				return
			}
		}
		fallthrough
	default:
		if certificates+count["p7"] > 0 {
			e.certificates(all, count, pipe)
			return
		}
		if e.want != Certificates && count["key"] > 0 {
			return // no certificate: the loader reports it
		}
	}
	e.wrong(all, count, certificates, pipe)
}

// wrong explains a file without any block that is wanted.
func (e *explainer) wrong(all []block, count map[string]int, certificates int, pipe string) {
	e.line = all[0].first
	begin := " (BEGIN " + all[0].Type + ")"
	switch {
	case count["p7"] > 0 && e.want != Key:
		e.bundle(all, pipe)
	case certificates > 0:
		e.is(plural(certificates, "certificate")+begin, "")
	case count["p7"] > 0:
		e.is("a PKCS#7 bundle", "")
	case count["key"] > 0:
		e.is("a private key"+begin, "")
	case count["CERTIFICATE REQUEST"] > 0:
		e.request(begin)
	case count["X509 CRL"] > 0:
		e.is(plural(count["X509 CRL"], "CRL")+begin, "")
	case count["PUBLIC KEY"]+count["RSA PUBLIC KEY"] > 0:
		e.is("a public key"+begin, "")
	case strings.HasPrefix(all[0].Type, "PGP "):
		e.is("a file of OpenPGP", "")
	default:
		e.line = 0
	}
}

// certificates explains certificates whose label or form is another than the wanted one.
func (e *explainer) certificates(all []block, count map[string]int, pipe string) {
	bad := count["p7"] + count["X509 CERTIFICATE"] + count["TRUSTED CERTIFICATE"]
	if bad == 0 {
		return
	}
	for _, b := range all {
		if noun, _ := b.program(); noun != "" {
			e.line = b.first
			e.is(noun, "")
			break
		}
	}
	filter := ""
	if e.want == Certificates {
		filter = " | " + blocks("CERTIFICATE")
	}
	switch {
	case bad == count["p7"] && len(all) == 1:
		e.bundle(all, pipe)
	case bad == count["X509 CERTIFICATE"]:
		e.convert(e.filter(pipe, "sed 's/X509 CERTIFICATE/CERTIFICATE/'") + filter)
	case count["p7"]+count["key"] == 0 && e.want == Certificates:
		source := pipe + " | openssl storeutl -certs /dev/stdin"
		if pipe == "" {
			source = "openssl storeutl -certs " + e.file
		}
		e.convert(source + filter)
	default:
		e.convert(e.rewrite(all, pipe, func(b block) string { _, program := b.program(); return program }) + filter)
	}
}

// bundle explains one block of PKCS#7.
func (e *explainer) bundle(all []block, pipe string) {
	list := values(firstBody(all[0].Bytes))
	program := "openssl pkcs7 -print_certs"
	if all[0].Type == "CMS" {
		pipe, program = e.run(pipe, "openssl cms -cmsout -inform PEM -outform DER"), "openssl pkcs7 -inform DER -print_certs"
	}
	e.pkcs7(list[1].body, false, "a PKCS#7 bundle%s", pipe, program)
}

// keys explains the first private key that cannot be used as it is.
func (e *explainer) keys(all []block, pipe string) {
	for _, b := range all {
		_, err := ParseKey(b.Type, b.Headers, b.Bytes)
		noun, program := keyProgram(err)
		if noun == "" {
			continue
		}
		e.line = b.first
		e.what = "the file has " + noun
		e.hint = "supported are RSA, ECDSA with the curves P-256, P-384 and P-521, and Ed25519"
		switch {
		case program != "":
			e.convert(e.rewrite(all, pipe, func(o block) string {
				if o.first == b.first {
					return program
				}
				return ""
			}))
		case err == ErrOpenSSH && pipe == "" && len(all) == 1:
			e.hint = "convert it: " + e.openSSH(b)
		case err == ErrOpenSSH:
			e.hint = "put the key into a file of its own: " + Only(e.name, "OPENSSH PRIVATE KEY")
		}
		return
	}
}

// rewrite returns a command that prints the file with some blocks converted.
func (e *explainer) rewrite(all []block, pipe string, program func(block) string) string {
	if pipe != "" {
		if len(all) == 1 {
			return pipe + " | " + program(all[0])
		}
		return pipe // the next load explains the decoded text
	}
	var out []string
	from := 1
	for _, b := range all {
		p := program(b)
		if p == "" {
			continue
		}
		if len(all) == 1 && b.first == 1 {
			head, tail, more := strings.Cut(p, " | ")
			if head += " -in " + e.file; more {
				head += " | " + tail
			}
			return head
		}
		if from < b.first {
			out = append(out, fmt.Sprintf("sed -n '%d,%dp' %s", from, b.first-1, e.file))
		}
		out = append(out, fmt.Sprintf("sed -n '%d,%dp' %s | %s", b.first, b.last, e.file, p))
		from = b.last + 1
	}
	return "{ " + strings.Join(append(out, fmt.Sprintf("sed -n '%d,$p' %s", from, e.file)), "; ") + "; }"
}
