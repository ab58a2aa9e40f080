package webmethods_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
)

// FuzzRead puts a text in the place of one file of the sample.
func FuzzRead(f *testing.F) {
	all := sample(f)
	for _, name := range []string{acls, aclmap, users, main, orders, certmap} {
		f.Add(all[name])
	}
	f.Add("service,path,methods\nacme.orders:create,/orders/{id},POST\nacme.ping:ping,/orders/x,*\n")
	dir := importertest.Folder(f, all)
	importertest.Fuzz(f, "text", func(in *importer.Import, name string) error {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		o := webmethods.Options{CertMap: filepath.Join(dir, certmap), Usage: "1", BuiltIn: len(text)%2 == 0, ExternalUsers: len(text)%3 == 0}
		if len(text)%5 == 0 {
			o.Namespaces = []string{filepath.Join(dir, "instance/packages")}
		}
		replaced := placeOf(string(text))
		if replaced == "" {
			o.REST = name
			return webmethods.Read(in, filepath.Join(dir, "instance"), o)
		}
		if err := os.WriteFile(filepath.Join(dir, replaced), text, 0o600); err != nil {
			return err
		}
		err = webmethods.Read(in, filepath.Join(dir, "instance"), o)
		return errors.Join(err, os.WriteFile(filepath.Join(dir, replaced), []byte(all[replaced]), 0o600))
	})
}

// placeOf returns the file of the sample that a text resembles, "" for a table of paths.
func placeOf(text string) string {
	for _, m := range [][2]string{{"ACLGroup", acls}, {"server.User", users}, {`name="access"`, orders}, {"CERT_", certmap}, {"service,", ""}} {
		if strings.Contains(text, m[0]) {
			return m[1]
		}
	}
	return aclmap
}
