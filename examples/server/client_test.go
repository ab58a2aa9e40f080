package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// call runs a program in the site's folder and returns its output.
func (s *site) call(input, name string, arguments ...string) string {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, arguments...)
	cmd.Dir, cmd.Stdin = s.dir, strings.NewReader(input)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run() // a refused client exits with a status
	return out.String()
}

func (s *site) write(name string, p *testpki.Pair) {
	s.put(name+".pem", string(p.CertPEM()))
	s.put(name+"-key.pem", string(p.KeyPEM()))
}

func TestCurlIsServedAndRefused(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	s := plainSite(t)
	s.put("server-ca.pem", string(s.serverCA.CertPEM()))
	s.write("alice", s.ca.Leaf("alice"))
	s.write("untrusted", s.other.Leaf("alice"))
	s.put("big", "X-Big: "+strings.Repeat("x", 65<<10)+"\n")
	alice := []string{"--cert", "alice.pem", "--key", "alice-key.pem"}
	for _, row := range []struct {
		name, port, path, want string
		arguments              []string
	}{
		{"HTTP/1.1", "internal", "/whoami", `"user":"alice"`, append(alice, "--http1.1")},
		{"HTTP/2", "internal", "/whoami", `"user":"alice"`, append(alice, "--http2")},
		{"TLS 1.2", "internal", "/whoami", `"user":"alice"`, append(alice, "--tls-max", "1.2")},
		{"TLS 1.1", "internal", "/whoami", "curl: (35)", append(alice, "--tls-max", "1.1")},
		{"required and missing", "internal", "/whoami", "alert certificate required", nil},
		{"untrusted", "public", "/whoami", "alert unknown ca", []string{"--cert", "untrusted.pem", "--key", "untrusted-key.pem"}},
		{"anonymous", "public", "/whoami", `"user":"Default"`, nil},
		{"65 KiB of headers", "internal", "/whoami", "431", append(alice, "--http1.1", "-H", "@big", "-i")},
		{"a path with dots", "internal", "/public/../secret/x", `"reason":"ambiguous-path"`, append(alice, "--path-as-is")},
	} {
		arguments := append([]string{"-sS", "--cacert", "server-ca.pem", "https://" + s.addr[row.port] + row.path}, row.arguments...)
		if got := s.call("", "curl", arguments...); !strings.Contains(got, row.want) {
			t.Errorf("%s: no %q in %q", row.name, row.want, got)
		}
	}
	// On HTTP/2 net/http closes the connection if a single field is too large.
	if got := s.call("", "curl", append(alice, "-sS", "--cacert", "server-ca.pem", "--http2", "-H", "@big", "https://"+s.addr["internal"]+"/whoami")...); strings.Contains(got, "user") {
		t.Errorf("65 KiB of headers, HTTP/2: %q", got)
	}
	if got := s.call("", "curl", "-sS", "--http2-prior-knowledge", "http://"+s.addr["internal"]+"/whoami"); strings.Contains(got, "user") {
		t.Errorf("without TLS: %q", got)
	}
}

// OpenSSL resumes a session, and its certificate is verified again. After a change of
// trust no session resumes.
// Covers A1, A2.
func TestResumedSessionOfOpenSSLIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		s := newSite(t)
		alice := s.ca.Leaf("alice")
		s.write("alice", alice)
		s.write("mallory", s.ca.Leaf("mallory"))
		s.put("server-ca.pem", string(s.serverCA.CertPEM()))
		s.put("ca.crl", crl(s.ca))
		s.files(plainUsers, plainPolicy, strings.Replace(s.port("internal", "require"), "anchors: [ca.pem]", "anchors: [ca.pem], crls: [ca.crl]", 1))
		s.edit("reload: 0", "reload: 50ms")
		s.start()
		client := func(key string, more ...string) string {
			return s.call("GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "openssl", append([]string{"s_client", "-connect", s.addr["internal"],
				"-CAfile", "server-ca.pem", "-cert", "alice.pem", "-key", key, "-ign_eof", version}, more...)...)
		}
		if got := client("alice-key.pem", "-sess_out", "session"); !strings.Contains(got, `"user":"alice"`) || !strings.Contains(got, "CN = Client CA") {
			t.Fatalf("%s: first: %s", version, got)
		}
		if got := client("alice-key.pem", "-sess_in", "session"); !strings.Contains(got, "\nReused") || !strings.Contains(got, `"user":"alice"`) {
			t.Errorf("%s: resumed: %s", version, got)
		}
		if got := client("mallory-key.pem"); strings.Contains(got, `"user"`) {
			t.Errorf("%s: a certificate without its key: %s", version, got)
		}
		s.put("ca.crl", crl(s.ca, alice))
		testkit.Eventually(t, "the CRL is in effect", func() bool { return len(s.log("event", "reload", "outcome", "ok")) > 0 })
		if got := client("alice-key.pem", "-sess_in", "session"); strings.Contains(got, "\nReused") || strings.Contains(got, `"user"`) {
			t.Errorf("%s: resumed after it was revoked: %s", version, got)
		}
	}
}

func (s *site) edit(old, replacement string) {
	data, err := os.ReadFile(s.config())
	if err != nil {
		s.Fatal(err)
	}
	s.put("mtlsguard.yaml", strings.Replace(string(data), old, replacement, 1))
}

func crl(ca *testpki.Pair, revoked ...*testpki.Pair) string {
	var serials []*big.Int
	for _, p := range revoked {
		serials = append(serials, p.Cert.SerialNumber)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.CRL(1, serials).Raw}))
}

// The embedded configuration loads, and the printed lines name its ports.
func TestEmbeddedConfigurationServesThePrintedLines(t *testing.T) {
	t.Parallel()
	server, err := open("", mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	printCurl(&out)
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		known := false
		for _, p := range server.Ports() {
			known = known || strings.Contains(line, "https://"+p.Config().Addr+"/")
		}
		for i, f := range fields {
			if f == "--cert" || f == "--key" || f == "--cacert" {
				if _, err := os.Stat(filepath.Join("..", "..", fields[i+1])); err != nil {
					t.Error(err)
				}
			}
		}
		if fields[0] != "curl" || !known {
			t.Errorf("printed: %s", line)
		}
	}
}
