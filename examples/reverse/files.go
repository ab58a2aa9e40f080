package main

import (
	"embed"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

//go:embed config
var config embed.FS

// The addresses in the embedded files.
const (
	externalAt      = "127.0.0.1:8463"
	registrationsAt = "127.0.0.1:8464"
)

// files is the folder config with the test certificates below pki, and with other
// addresses.
type files struct{ registrations, external string }

// Open implements fs.FS.
func (f files) Open(name string) (fs.File, error) {
	if inner, ok := strings.CutPrefix(name, "pki/"); ok {
		return pki.Files.Open(inner)
	}
	file, err := config.Open("config/" + name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	addresses := strings.NewReplacer(externalAt, f.external, registrationsAt, f.registrations)
	return edited{file, strings.NewReader(addresses.Replace(string(text)))}, nil
}

// edited is a file with another content.
type edited struct {
	fs.File
	content io.Reader
}

// Read implements fs.File.
func (e edited) Read(p []byte) (int, error) { return e.content.Read(p) }

// printCurl prints lines that work unchanged from the root of the repository.
func printCurl(w io.Writer, external string) {
	for _, as := range []string{
		"alice",    // alice, through the tunnel
		"stranger", // trusted, but unmapped
		"",         // no certificate: the server is strict
	} {
		line := "curl -sS --cacert testdata/pki/server-ca.pem"
		if as != "" {
			line += fmt.Sprintf(" --cert testdata/pki/%s.pem --key testdata/pki/%s-key.pem", as, as)
		}
		fmt.Fprintf(w, "%s https://%s/orders/7\n", line, external)
	}
}
