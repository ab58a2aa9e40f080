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

// embedded holds the folder config, with the test certificates as its folder pki.
var embedded fs.FS = overlay{}

type overlay struct{}

func (overlay) Open(name string) (fs.File, error) {
	if inner, ok := strings.CutPrefix(name, "pki/"); ok {
		return pki.Files.Open(inner)
	}
	return config.Open("config/" + name)
}

// calls lists the certificates and URLs of the printed curl lines.
var calls = []struct{ as, url string }{
	{"alice", "https://127.0.0.1:8443/orders/7"},     // allowed
	{"bob", "https://127.0.0.1:8443/orders/7"},       // denied by a rule
	{"stranger", "https://127.0.0.1:8443/orders/7"},  // unmapped
	{"", "https://127.0.0.1:8444/orders/7"},          // no certificate: refused
	{"", "https://127.0.0.1:8445/whoami"},            // no certificate: the user Default
	{"untrusted", "https://127.0.0.1:8444/orders/7"}, // untrusted: no connection
	{"expired", "https://127.0.0.1:8444/orders/7"},   // expired: no connection
}

// printCurl prints curl lines that work from the root of the repository.
func printCurl(w io.Writer) {
	for _, t := range calls {
		line := "curl -sS --cacert testdata/pki/server-ca.pem"
		if t.as != "" {
			line += fmt.Sprintf(" --cert testdata/pki/%s.pem --key testdata/pki/%s-key.pem", t.as, t.as)
		}
		fmt.Fprintln(w, line, t.url)
	}
}
