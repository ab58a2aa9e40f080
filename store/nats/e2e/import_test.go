package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/natsconf"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// Every test certificate goes to a real NATS server with verify_and_map, and its user is the one that
// the import reports. No certificate has another user in the result.
func TestImportedUsersOfNATS(t *testing.T) {
	t.Parallel()
	dir := importertest.Folder(t, nil)
	read := func(name string) []byte {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	write := func(name string, data []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	write("server-key.pem", read("server-key.pem"))
	file := write("nats.conf", fmt.Appendf(nil, `listen: "127.0.0.1:-1"
tls { cert_file: "%[1]s/server.pem", key_file: "%[1]s/server-key.pem", ca_file: "%[1]s/client-ca.pem", verify_and_map: true }
authorization { users = [ # comment
  { user = "CN=alice,OU=Staff,O=Acme" }
  { user = "CN=bob, OU=Staff, O=Acme", permissions: { subscribe: [ ">" ] } },
  { user = "O=Acme,OU=Services,CN=orders" }
  { user = "cn=mallory,OU=Staff,O=Acme" }
  { user: spiffe://acme/ns/prod/sa/carol }
  { user = "CN=rsa2048,OU=staff,O=Acme" }
] }
`, dir))
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs = true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server accepts no connections")
	}
	in, err := importer.New(importer.Options{Format: "test", Certificates: []string{dir}})
	if err == nil {
		err = natsconf.Read(in, file, natsconf.Options{ShortNames: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := in.Finish()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read("server-ca.pem"))
	url := strings.Replace(s.ClientURL(), "nats://127.0.0.1", "tls://localhost", 1)
	users := 0
	for _, c := range out.Certificates {
		name := filepath.Base(c.File)
		pair, err := tls.X509KeyPair(read(name), read(strings.TrimSuffix(name, ".pem")+"-key.pem"))
		if err != nil {
			continue // no client of Go can hold it
		}
		there := "" // as the configuration writes it
		conn, err := nats.Connect(url, nats.NoReconnect(), nats.Secure(&tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{pair}}))
		if err == nil {
			id, err := conn.GetClientID()
			if err != nil {
				t.Fatal(err)
			}
			found, err := s.Connz(&server.ConnzOptions{Username: true, CID: id})
			if err != nil || len(found.Conns) != 1 {
				t.Fatal(found, err)
			}
			there = found.Conns[0].AuthorizedUser
			conn.Close()
		}
		if c.Known && (there == "") != (c.Source == "") || there != "" && c.Source != "" && !strings.Contains(there, c.Source) {
			t.Errorf("%s: %q in NATS, and %q in the report", name, there, c.Source)
		}
		if c.User != "" {
			users++
			if !strings.Contains(there, c.User) {
				t.Errorf("%s: %q here, and %q in NATS", name, c.User, there)
			}
		}
	}
	if len(out.Certificates) < 40 || users < 3 {
		t.Errorf("%d certificates, %d users", len(out.Certificates), users)
	}
}
