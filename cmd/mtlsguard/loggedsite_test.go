package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// loggedSite is a running server and its log.
type loggedSite struct {
	t      *testing.T
	server *mtlsguard.Server
	addr   map[string]string
	log    string // file
}

// serveLogged serves the test configuration, with changes old=>new to mtlsguard.yaml, from a
// new folder, which becomes the working directory. The server's log is server.log.
func serveLogged(t *testing.T, changes ...string) *loggedSite {
	t.Helper()
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	replace(t, "mtlsguard.yaml", changes...)
	s := &loggedSite{t: t, addr: map[string]string{}, log: filepath.Join(dir, "server.log")}
	var err error
	if s.server, err = serveSiteWith(mtlsguard.Options{Log: mtlsguard.JSONLog(appender(s.log), nil)}, dir, func(k, v string) { s.addr[k] = v }, t.Cleanup); err != nil {
		t.Fatal(err)
	}
	return s
}

// replace changes a file. Each change is old=>new.
func replace(t *testing.T, name string, changes ...string) {
	t.Helper()
	text := read(t, name)
	for _, change := range changes {
		old, replacement, _ := strings.Cut(change, "=>")
		if !strings.Contains(text, old) {
			t.Fatalf("%s has no %q", name, old)
		}
		text = strings.Replace(text, old, replacement, 1)
	}
	put(t, name, text)
}

// appender appends to a file that it opens for each write, as a program does whose log is
// rotated.
type appender string

func (a appender) Write(b []byte) (int, error) {
	f, err := os.OpenFile(string(a), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Write(b)
}

// request sends a request with the certificate NAME.pem, or without one if name is empty,
// and returns the reference of a refusal. It waits until the log has the decision.
func (s *loggedSite) request(port, name, method, path string) (reference string) {
	s.t.Helper()
	lines := s.decisions()
	config := &tls.Config{InsecureSkipVerify: true}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(name+".pem", name+"-key.pem")
		if err != nil {
			s.t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: testkit.Patience}
	r, err := http.NewRequestWithContext(s.t.Context(), method, "https://"+s.addr[strings.ToUpper(port)]+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer, err := client.Do(r); err == nil {
		var problem struct{ Reference string }
		_ = json.NewDecoder(answer.Body).Decode(&problem)
		answer.Body.Close()
		reference = problem.Reference
	}
	testkit.Eventually(s.t, "the log has the decision", func() bool { return s.decisions() > lines })
	return reference
}

// decisions counts the lines about requests, handshakes, and connections that a reload ended
// before their request.
func (s *loggedSite) decisions() int {
	return strings.Count(s.text(), `"event":"decision"`) + strings.Count(s.text(), `"event":"handshake"`) + strings.Count(s.text(), `"event":"closed"`)
}

// reload puts changed files into effect, without waiting for the watcher.
func (s *loggedSite) reload() {
	s.t.Helper()
	if err := s.server.Reload(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *loggedSite) text() string {
	data, err := os.ReadFile(s.log)
	if err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return string(data)
}

// fingerprint returns the fingerprint of NAME.pem.
func fingerprint(t *testing.T, name string) string {
	t.Helper()
	entry, err := readClientEntry(name+".pem", certfile.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	return newCertificateReport(entry.Chain[0]).Fingerprint
}

// runLine runs a command line, and returns its exit status and what it printed.
func runLine(t *testing.T, line string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), unquote(t, "mtlsguard "+line), strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}
