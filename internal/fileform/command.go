package fileform

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
)

// Only returns the command that writes the PEM blocks of a file with a label to a new file,
// without anything else.
func Only(name, label string) string {
	e := &explainer{name: name, file: shellName(name)}
	return blocks(label) + " " + e.file + " > " + e.output(".pem")
}

// Separate returns the command that begins a line before each PEM block. Files that were
// joined, the first without a line end, lack one.
func Separate(name string) string {
	e := &explainer{name: name, file: shellName(name)}
	return "(umask 077; awk '{gsub(/----------BEGIN /, \"-----\\n-----BEGIN \")} 1' " + e.file + " > " + e.output(".pem") + ")"
}

// ToFront returns the command that moves the block that begins in a line to the beginning
// of a file.
func ToFront(name string, data []byte, line int) string {
	e := &explainer{name: name, file: shellName(name)}
	last := line
	for _, b := range scan(data) {
		if b.first == line {
			last = b.last
		}
	}
	return fmt.Sprintf("(umask 077; { sed -n '%d,%dp' %s; sed '%d,%dd' %s; } > %s)", line, last, e.file, line, last, e.file, e.output(".pem"))
}

// PublicKeys returns a command that prints the public keys of a certificate and of a private
// key.
func PublicKeys(certificate, key string) string {
	return "openssl x509 -in " + shellName(certificate) + " -noout -pubkey; openssl pkey -in " + shellName(key) + " -pubout"
}

// Show returns the command that shows the parts of the PEM or DER value in a line of a file,
// for a value that this program cannot parse; or what to do if the value is cut off.
func Show(name string, line int, der []byte) string {
	if _, rest, ok := next(der); !ok || len(rest) > 0 {
		return "the file is damaged: copy it again"
	}
	if algorithm.IsUnsupportedCurve(der) {
		return "have it issued for another key: " + algorithm.SupportedKeys
	}
	return "have it issued again; " + Parts(name, line)
}

// Parts names the command that shows the parts of the PEM value in a line of a file.
func Parts(name string, line int) string {
	return fmt.Sprintf("what it holds: tail -n +%d %s | openssl asn1parse -i", line, shellName(name))
}
