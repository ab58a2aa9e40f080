package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// site is a configuration in a folder, and its server.
type site struct {
	testing.TB
	dir               string
	ca, sub, serverCA *testpki.Pair
	other             *testpki.Pair     // an authority that no port trusts
	addr              map[string]string // by port
	stdout, stderr    *testkit.Buffer
	stop              context.CancelFunc
	status            chan int
}

func newSite(tb testing.TB) *site {
	s := &site{TB: tb, dir: tb.TempDir(), addr: map[string]string{}, stdout: &testkit.Buffer{}, stderr: &testkit.Buffer{}}
	s.ca, s.serverCA, s.other = testpki.NewCA("Client CA"), testpki.NewCA("Server CA"), testpki.NewCA("Other CA")
	s.sub = s.ca.SubCA("Client Sub CA")
	server := s.serverCA.Server(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "api.acme.example") })
	s.put("server.pem", string(server.CertPEM()))
	s.put("server-key.pem", string(server.KeyPEM()))
	s.put("ca.pem", string(s.ca.CertPEM()))
	return s
}

func (s *site) put(name, content string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
}

// port returns a port of a configuration in YAML, with more lines.
func (s *site) port(name, mode string, further ...string) string {
	s.addr[name] = testkit.FreeAddress(s)
	out := "  - name: " + name + "\n    listen: " + s.addr[name] + "\n    client_cert: " + mode +
		"\n    certificate: {cert: server.pem, key: server-key.pem}\n    trust: {anchors: [ca.pem]}\n"
	for _, line := range further {
		out += "    " + line + "\n"
	}
	return out
}

// files writes the three files.
func (s *site) files(users, policy string, ports ...string) {
	s.put("users.yaml", users)
	s.put("policy.csv", policy)
	s.put("mtlsguard.yaml", "users: users.yaml\npolicy: policy.csv\nreload: 0\nports:\n"+strings.Join(ports, ""))
}

func (s *site) config() string { return filepath.Join(s.dir, "mtlsguard.yaml") }

// start runs the server in this process, until the test ends.
func (s *site) start(arguments ...string) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop, s.status = cancel, make(chan int, 1)
	go func() {
		s.status <- run(ctx, append([]string{"-config", s.config()}, arguments...), s.stdout, s.stderr)
	}()
	s.Cleanup(func() {
		cancel()
		select {
		case status := <-s.status:
			if status != exitOK {
				s.Errorf("status %d, want %d", status, exitOK)
			}
		case <-time.After(testkit.Patience):
			s.Error("the server does not end")
		}
	})
	testkit.Eventually(s, "ready", func() bool {
		if len(s.status) > 0 {
			s.Fatalf("the server ended:\n%s", s.stderr)
		}
		return s.stdout.String() == "ready\n"
	})
}

// log returns the log lines with these fields, in pairs.
func (s *site) log(pairs ...string) []map[string]any {
	s.Helper()
	var out []map[string]any
next:
	for line := range strings.Lines(s.stderr.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			s.Errorf("not JSON: %q", line)
			continue
		}
		for i := 0; i < len(pairs); i += 2 {
			if fields[pairs[i]] != pairs[i+1] {
				continue next
			}
		}
		out = append(out, fields)
	}
	return out
}

// client returns a client with a certificate, or without one if pair is nil.
func (s *site) client(pair *testpki.Pair, options ...testkit.ClientOption) *http.Client {
	return testkit.Client(s, s.serverCA.Pool(), pair, options...)
}

// answer is the answer to a request.
type answer struct {
	status int
	header http.Header
	fields map[string]any
	body   string
}

// short returns "200 USER", "403 REASON" or "refused".
func (a *answer) short() string {
	if a == nil {
		return "refused"
	}
	field := a.fields["user"]
	if a.status != http.StatusOK {
		field = a.fields["reason"]
	}
	text, _ := field.(string)
	return strings.TrimSpace(strconv.Itoa(a.status) + " " + text)
}

// request sends a request. It returns nil for a refused connection.
func (s *site) request(c *http.Client, method, port, path string, edits ...func(*http.Request)) *answer {
	s.Helper()
	r, err := http.NewRequest(method, "https://"+s.addr[port]+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range edits {
		e(r)
	}
	res, err := c.Do(r)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	a := &answer{status: res.StatusCode, header: res.Header, body: string(body)}
	_ = json.Unmarshal(body, &a.fields)
	return a
}
