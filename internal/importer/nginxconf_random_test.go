package importer_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/nginxconf"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// Maps of random lines, about certificates whose names differ in little, never take a certificate
// for another user than nginx does. Covers T3.
func TestRandomMapsAreNeverWider(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := testpki.NewCA("Client CA")
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("client-ca.pem", ca.CertPEM())
	var subjects []string
	for _, cn := range []string{"alice", "Alice", "bob", "7", "x y"} {
		for _, ou := range []string{"Staff", "staff", "Guests"} {
			leaf := ca.Leaf(cn, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{ou} })
			write(fmt.Sprintf("%d.pem", len(subjects)), leaf.CertPEM())
			subjects = append(subjects, "CN="+cn+",OU="+ou)
		}
	}
	patterns := []string{`~^CN=([^,]+),OU=Staff$ $1`, `~^CN=([^,]+),OU=staff$ $1`, `~^CN=([^,]+),OU=Guests$ guest`, `~*^CN=([^,]+),OU=Staff$ $1`, `~CN=([^,]+) $1`, `~^CN=[aA] ""`, `~,OU=Guests$ ""`, `~^CN=alice,OU=(.+)$ $1`}
	values := []string{"alice", `""`, "bob", `"old bob"`, "admin"}
	random := rand.New(rand.NewPCG(1, 2))
	carried := 0
	for i := range 150 {
		var lines []string
		seen := map[string]bool{}
		for range 1 + random.IntN(5) {
			if random.IntN(2) == 0 {
				lines = append(lines, patterns[random.IntN(len(patterns))]+";")
				continue
			}
			key := subjects[random.IntN(len(subjects))]
			if random.IntN(3) == 0 {
				key = strings.ToLower(key)
			}
			if seen[strings.ToLower(key)] {
				continue // nginx does not start with it
			}
			seen[strings.ToLower(key)] = true
			lines = append(lines, fmt.Sprintf("%q %s;", key, values[random.IntN(len(values))]))
		}
		conf := nginxWho("$ssl_client_s_dn", lines...)
		o := nginxconf.Options{Maps: []string{"who=user"}, Each: random.IntN(2) == 0}
		if random.IntN(2) == 0 {
			conf += fmt.Sprintf("map $ssl_client_s_dn $bad { %q 1; }\n", strings.ToUpper(subjects[random.IntN(len(subjects))][:4])+subjects[random.IntN(len(subjects))][4:])
			o.Maps = []string{"who=user", "bad=deny:1"}
		}
		write("t.conf", []byte(conf))
		in, err := importer.New(importer.Options{Format: "test", Certificates: []string{dir}, Narrow: random.IntN(2) == 0})
		if err == nil {
			err = nginxconf.Read(in, filepath.Join(dir, "t.conf"), o)
		}
		if err != nil {
			t.Fatalf("%d: %v\n%s", i, err, conf)
		}
		out, err := in.Finish()
		if errors.Is(err, importer.ErrDefect) {
			t.Fatalf("%d: %v\n%s", i, err, conf)
		}
		if err == nil && out.Mappings > 0 {
			carried++
		}
	}
	if carried < 40 {
		t.Errorf("only %d of the maps were carried", carried)
	}
}
