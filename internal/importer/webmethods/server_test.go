package webmethods_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/importer/webmethods"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// model is what Integration Server decides, written down for itself: no code of the importer.
type model struct {
	groups map[string][]string    // of a user, nested ones resolved
	acls   map[string][2][]string // allowed and denied groups
	acl    map[string]string      // of a service or folder
	listed map[string][]string    // services on the access list of a port
	open   map[string]bool        // the port reaches every service but the listed ones
}

// sampleModel is the sample in testdata, read by a person.
var sampleModel = model{
	groups: map[string][]string{
		"alice": {"Everybody", "Partners"}, "bob": {"Everybody", "Partners", "Suspended"}, "carol": {"Everybody", "Staff", "Administrators"},
		"orders_api": {"Everybody", "KeyPartners", "Partners"},
	},
	acls: map[string][2][]string{
		"PartnerACL": {{"Partners"}, {"Suspended"}}, "StaffACL": {{"Staff"}, nil}, "Administrators": {{"Administrators"}, nil},
		"Default": {{"Everybody"}, {"Anonymous"}}, "Anonymous": {{"Everybody"}, nil},
	},
	acl: map[string]string{
		"acme": "StaffACL", "acme.orders": "PartnerACL", "acme.orders:cancel": "StaffACL", "acme.admin:reset": "Administrators", "acme.ping:ping": "Anonymous",
		"acme.legacy:export": "RetiredACL",
	},
	listed: map[string][]string{
		"Internal": {"acme.admin:reset"}, "Partners": {"acme.orders:create", "acme.orders:status", "acme.ping:ping", "acme.catalog:list"},
	},
	open: map[string]bool{"Internal": true},
}

func (m *model) allows(user, service, port string) bool {
	if slices.Contains(m.listed[port], service) == m.open[port] {
		return false
	}
	folder, _, _ := strings.Cut(service, ":")
	name, ok := m.acl[service]
	for ; !ok && folder != ""; folder = folder[:max(0, strings.LastIndex(folder, "."))] {
		name, ok = m.acl[folder]
	}
	if !ok {
		name = "Default"
	}
	lists := m.acls[name]
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(g string) bool { return slices.Contains(m.groups[user], g) })
	}
	return in(lists[0]) && !in(lists[1])
}

var (
	writtenFile = regexp.MustCompile(`(?m)^== (.*)\n`)
	services    = []string{"acme.orders:create", "acme.orders:status", "acme.orders:cancel", "acme.admin:reset", "acme.ping:ping", "acme.catalog:list", "acme.legacy:export", "util.time:now"}
)

// writeResult writes the files of a result into a folder.
func writeResult(t *testing.T, dir, result string) {
	t.Helper()
	names := writtenFile.FindAllStringSubmatchIndex(result, -1)
	if names == nil {
		t.Fatal(result)
	}
	for i, n := range names {
		end := len(result)
		if i+1 < len(names) {
			end = names[i+1][0]
		}
		if err := os.WriteFile(filepath.Join(dir, result[n[2]:n[3]]), []byte(result[n[1]:end]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every user of the sample calls every service on both ports of a server with the result, with a
// certificate. The server answers as Integration Server would.
func TestServerDecidesAsTheSource(t *testing.T) {
	t.Parallel()
	result := run(t, importer.Options{}, webmethods.Options{CertMap: certmap, Usage: "1", Namespaces: []string{"instance/packages"}}, sample(t), "instance")
	dir := importertest.Folder(t, nil)
	writeResult(t, dir, result)
	fragment, err := os.ReadFile(filepath.Join(dir, "ports.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := "users: users.yaml\npolicy: policy.csv\n" + regexp.MustCompile(`":\d+"`).ReplaceAllString(string(fragment), "127.0.0.1:0")
	key, err := pki.Files.ReadFile("server-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Files.ReadFile("client-ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	// The files that keys import writes for the keystores of the instance.
	for name, data := range map[string][]byte{"mtlsguard.yaml": []byte(config), "server-key.pem": key, "ACME_TS.pem": ca, "PARTNER_TS.pem": ca} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := serve(t, filepath.Join(dir, "mtlsguard.yaml"))
	decided := map[bool]int{}
	for certificate, user := range map[string]string{"alice": "alice", "bob": "bob", "carol": "carol", "orders": "orders_api", "mallory": "", "stranger": "", "": ""} {
		client := clientOf(t, certificate)
		for _, port := range []string{"Internal", "Partners"} {
			if certificate == "" && port == "Internal" {
				continue // the handshake fails
			}
			for _, service := range services {
				for _, path := range []string{"/invoke/" + strings.Replace(service, ":", "/", 1), "/invoke/" + service} {
					want := user != "" && sampleModel.allows(user, service, port)
					status, who := call(t, client, "https://"+address[port]+path)
					if decided[want]++; (status == http.StatusOK) != want || want && who != user {
						t.Errorf("%s on %s, certificate %q: %d as %q, want %v as %q", path, port, certificate, status, who, want, user)
					}
				}
			}
		}
	}
	if decided[true] < 20 || decided[false] < 100 {
		t.Errorf("decisions: %v", decided)
	}
}

// serve runs a server, and returns the address of each port.
func serve(t *testing.T, config string) map[string]string {
	t.Helper()
	ready := make(chan struct{})
	server, err := mtlsguard.Open(config, mtlsguard.Options{Ready: func() { close(ready) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- server.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who, _ := identity.FromContext(r.Context())
			_, _ = io.WriteString(w, who.User) // the client sees a failure
		}))
	}()
	t.Cleanup(func() { stop(); <-ended })
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, p := range server.Ports() {
		out[p.Name()] = p.Addr().String()
	}
	return out
}

// clientOf returns a client with a certificate of the test PKI, or with none.
func clientOf(t *testing.T, name string) *http.Client {
	t.Helper()
	pem, err := pki.Files.ReadFile("server-ca.pem")
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	if name != "" {
		chain, err := pki.Files.ReadFile(name + ".pem")
		if err != nil {
			t.Fatal(err)
		}
		key, err := pki.Files.ReadFile(name + "-key.pem")
		if err != nil {
			t.Fatal(err)
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			t.Fatal(err)
		}
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testkit.Patience}
}

// call returns the status and the body of a POST.
func call(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	r, err := client.Post(url, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}
