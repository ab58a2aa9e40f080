// Package fileform recognises by their content what files with certificates, keys and CRLs
// are, and knows the commands that convert them to PEM. A command loses nothing: a bundle
// stays a bundle.
package fileform

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Want is the form that a loader reads.
type Want int

const (
	Certificates Want = iota // PEM certificates, and nothing else
	Chain                    // PEM certificates; text and other blocks may stand around them
	Key                      // one private key in PEM
	CRLs                     // CRLs in PEM, or one in DER
	Credential               // certificates and their key, in PEM or in a keystore
	Any                      // certificates, perhaps with a key, in any form that package certfile reads
)

func (w Want) String() string {
	return [...]string{"certificates in PEM", "certificates in PEM", "a private key in PEM", "CRLs in PEM or DER", "a certificate with its key", "a certificate in PEM or DER, PKCS#12 or JKS"}[w]
}

// label returns the label of the PEM blocks that are wanted.
func (w Want) label() string {
	switch w {
	case Key:
		return "[A-Z ]*PRIVATE KEY"
	case CRLs:
		return "X509 CRL"
	}
	return "CERTIFICATE"
}

// Explain returns an error that names the form of a file, with the command that makes the
// wanted form of it. It returns nil if the file has the wanted form, and if it is damaged
// or nothing that Explain knows.
func Explain(name string, data []byte, want Want) *configerror.Error {
	e := &explainer{name: name, file: shellName(name), want: want}
	e.text(data, "")
	if e.what == "" {
		return nil
	}
	out := &configerror.Error{File: name, Line: e.line, What: e.what, Hint: e.hint}
	if out.Line == 0 && want != Credential && want != Any { // the other loaders name a line always
		out.Line = 1
	}
	if out.Hint == "" {
		out.Hint = "name a file with " + want.String()
	}
	return out
}

// explainer collects the explanation of one file.
type explainer struct {
	name, file string // file is name as a word of the shell
	want       Want
	line       int
	what, hint string
}

// is sets what the file is, and the command that writes the wanted form to standard output;
// "" stands for none.
func (e *explainer) is(noun, command string) {
	e.what = fmt.Sprintf("the file is %s, not %s", noun, e.want)
	e.convert(command)
}

// convert sets the hint to run a command. Its output is readable by its owner only if it
// has a key.
func (e *explainer) convert(command string) {
	if command == "" {
		return
	}
	command += " > " + e.output(".pem")
	if e.want == Key || e.want == Credential || e.want == Any {
		command = "(umask 077; " + command + ")"
	}
	e.hint = "convert it: " + command
}

// output returns the name of a new file beside the file. It differs from the names that
// people use: a file that exists must not be overwritten.
func (e *explainer) output(extension string) string {
	return shellName(strings.TrimSuffix(e.name, filepath.Ext(e.name)) + ".new" + extension)
}

// shellName returns a file name as a word of the shell that no program takes for an option.
func shellName(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	return escape.Shell(name)
}

// run returns a command that reads the file, or the output of the pipe before it.
func (e *explainer) run(pipe, program string) string {
	if pipe == "" {
		return program + " -in " + e.file
	}
	return pipe + " | " + program
}

// filter is run for a program that reads the file as its last argument.
func (e *explainer) filter(pipe, program string) string {
	if pipe == "" {
		return program + " " + e.file
	}
	return pipe + " | " + program
}

// blocks returns a command that prints the PEM blocks with a label.
func blocks(label string) string {
	return "sed -n '/-----BEGIN " + label + "-----/,/-----END " + label + "-----/p'"
}

var (
	utf8BOM, utf16LE, utf16BE = []byte("\xef\xbb\xbf"), []byte("\xff\xfe"), []byte("\xfe\xff")
	pemBegin                  = []byte("-----BEGIN ")
)

// text explains a file by its encoding as text, and what it holds then. pipe is the command
// that has decoded the data; "" if it is the file itself.
func (e *explainer) text(data []byte, pipe string) {
	switch decoded, set := decodeUTF16(data); {
	case decoded != nil && pipe == "":
		e.decoded(decoded, "text in UTF-16", "iconv -f "+set+" -t UTF-8 "+e.file)
	case bytes.HasPrefix(data, utf8BOM) && pipe == "":
		e.decoded(data[len(utf8BOM):], "text with a byte order mark", "tail -c +4 "+e.file)
	case bytes.Contains(data, pemBegin):
		e.pem(data, pipe)
	case isKeystore(data):
		e.keystore(data, pipe)
	case len(data) > 0 && data[0] == 0x30:
		e.der(data, pipe)
	default:
		e.other(data, pipe)
	}
}

// decoded explains text in another encoding. If the text itself is something else than what
// is wanted, the command converts that too.
func (e *explainer) decoded(data []byte, noun, pipe string) {
	if e.text(data, pipe); e.what == "" {
		e.is(noun, pipe)
		return
	}
	e.what = noun + ": " + e.what
}

// decodeUTF16 returns the ASCII characters of a text in UTF-16, and the name of its
// encoding for iconv; nil if the text is something else.
func decodeUTF16(data []byte) (out []byte, set string) {
	low := 0
	switch set = "UTF-16"; {
	case bytes.HasPrefix(data, utf16LE):
		data = data[2:]
	case bytes.HasPrefix(data, utf16BE):
		low, data = 1, data[2:]
	case bytes.HasPrefix(data, []byte("-\x00-\x00")):
		set = "UTF-16LE"
	case bytes.HasPrefix(data, []byte("\x00-\x00-")):
		low, set = 1, "UTF-16BE"
	default:
		return nil, ""
	}
	out = []byte{}
	for ; len(data) > 1; data = data[2:] {
		c := data[low]
		if data[1-low] != 0 {
			c = '?'
		}
		out = append(out, c)
	}
	return out, set
}

// other explains text without a PEM block.
func (e *explainer) other(data []byte, pipe string) {
	text := bytes.TrimSpace(data)
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		e.is("HTML or XML", "")
		e.hint = "the download was answered with a page: download the file again"
	case bytes.HasPrefix(text, []byte("ssh-")), bytes.HasPrefix(text, []byte("ecdsa-sha2-")):
		e.is("a public key or certificate of OpenSSH", "")
	default:
		if der := decodeBase64(text); len(der) > 0 {
			decode := "tr -d '\\r\\n\\t ' < " + e.file
			if pipe != "" {
				decode = pipe + " | tr -d '\\r\\n\\t '"
			}
			e.decoded(der, "base64 without the lines of PEM", decode+" | openssl base64 -d -A")
		}
	}
}

// decodeBase64 returns the DER in text that is base64 and nothing else, or nil.
func decodeBase64(text []byte) []byte {
	if len(text) < 64 || text[0] != 'M' { // M is the first letter of a long DER SEQUENCE
		return nil
	}
	text = bytes.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	out, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil || out[0] != 0x30 {
		return nil
	}
	return out
}
