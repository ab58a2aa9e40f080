package main

import (
	"path/filepath"
	"strings"
)

// demoAdminPort is the name of the port with the admin page. A demo of an older version has none.
const demoAdminPort = "admin"

// demoPassword protects admin.p12: browsers refuse a file without a password.
const demoPassword = "demo"

// demoAdmin is where the admin page of a demo is, and the certificate that opens it.
type demoAdmin struct {
	URL       string `json:"url"`
	PKCS12    string `json:"pkcs12"`
	Password  string `json:"password"`
	Authority string `json:"authority"` // of the server's certificate
}

func newDemoAdmin(folder, addr string) *demoAdmin {
	return &demoAdmin{
		URL:    "https://localhost" + addr[strings.LastIndex(addr, ":"):] + "/", // the name in server_names
		PKCS12: filepath.Join(folder, "admin.p12"), Password: demoPassword, Authority: filepath.Join(folder, "server-ca.pem"),
	}
}

// print prints the URL of the page, and how a browser gets the certificate.
func (d *demoAdmin) print(a *app) {
	a.printf(`
# The admin page: %s
# A browser needs the certificate %s (password: %s), and the authority %s.
# Firefox: Settings, Privacy & Security, View Certificates; Your Certificates, Import; Authorities, Import.
# Chromium on Linux, with the package libnss3-tools:
#   pk12util -d sql:$HOME/.pki/nssdb -i %s -W %s
#   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "Demo Server CA" -i %s
# Safari, and Windows: open both files. docs/admin.md has more. Remove both from the browser when you are done.
`, d.URL, d.PKCS12, d.Password, d.Authority, shellQuote(d.PKCS12), d.Password, shellQuote(d.Authority))
}
