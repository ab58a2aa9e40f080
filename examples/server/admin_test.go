package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Every command of docs/admin.md prints what the page shows, with the files of the page.
func TestDocsAdmin(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	shell := testkit.Program(t, "sh", "dash")
	testkit.Program(t, "openssl", "openssl")
	data, err := os.ReadFile("../../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, _ := strings.Cut(string(data), "\n## In a fleet\n") // package admin runs the commands there
	block := func(name string) string {
		_, rest, ok := strings.Cut(page, "# "+name+"\n")
		if !ok {
			t.Fatalf("no block # %s", name)
		}
		text, _, _ := strings.Cut(rest, "```")
		return text
	}
	s := newSite(t)
	for _, name := range []string{"server.pem", "server-key.pem", "server-ca.pem", "client-ca.pem", "alice.pem", "alice-key.pem", "bob.pem", "bob-key.pem"} {
		content, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s.put(name, string(content))
	}
	admin, internal := testkit.FreeAddress(t), testkit.FreeAddress(t)
	addresses := strings.NewReplacer("127.0.0.1:8449", admin, "127.0.0.1:8443", internal, "localhost:8449", "localhost:"+admin[strings.LastIndex(admin, ":")+1:])
	s.put("mtlsguard.yaml", addresses.Replace(block("mtlsguard.yaml")))
	s.put("policy.csv", block("policy.csv"))
	next, err := pki.Files.ReadFile("mallory.pem")
	if err != nil {
		t.Fatal(err)
	}
	s.put("next.pem", string(next))
	content, err := pki.Files.ReadFile("stranger.pem")
	if err != nil {
		t.Fatal(err)
	}
	partner, err := trust.ReadCertificates("partner.pem", content)
	if err != nil {
		t.Fatal(err)
	}
	s.put("users.yaml", "mappings:\n  - {id: staff, user: \"{user}\", subject: \"CN={user},OU=Staff,O=Acme\", issuer: client-ca.pem}\n"+
		"  - {id: partner, user: partner, fingerprint: "+trust.FingerprintOf(partner[0]).String()+"}\n")
	s.start("-admin", "admin")

	run, before := 0, ""
	reference := "6f1c2a9b7d3e4f50" // of the page, then the real one
	times := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
	references := regexp.MustCompile(`"reference":"([0-9a-f]{16})"`)
	for _, session := range strings.Split(page, "```console\n")[1:] {
		session, _, _ = strings.Cut(session, "```")
		for _, call := range strings.Split("\n"+session, "\n$ ")[1:] {
			command, want, _ := strings.Cut(call, "\n")
			if strings.HasPrefix(command, "go run ") {
				continue // s.start has done so
			}
			if strings.HasPrefix(command, "tag=") { // for the next command
				before = command + "\n"
				continue
			}
			command, before = before+command, ""
			cmd := exec.Command(shell, "-c", strings.ReplaceAll(addresses.Replace(command), "6f1c2a9b7d3e4f50", reference))
			cmd.Dir = s.dir
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
			if m := references.FindSubmatch(out); m != nil {
				reference = string(m[1])
			}
			got := strings.TrimSpace(times.ReplaceAllString(strings.ReplaceAll(string(out), reference, "6f1c2a9b7d3e4f50"), "2026-01-31T08:00:00Z"))
			if got != strings.TrimSpace(want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", command, got, want)
			}
			run++
		}
	}
	if run != 6 {
		t.Errorf("%d commands, want 6", run)
	}
	for port, want := range map[string]bool{admin: true, internal: false} {
		cmd := exec.Command(shell, "-c", "curl -sS --cacert server-ca.pem --cert alice.pem --key alice-key.pem https://localhost:"+port[strings.LastIndex(port, ":")+1:])
		cmd.Dir = s.dir
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "<html") != want {
			t.Errorf("the page on %s: %v, want %t\n%s", port, err, want, out)
		}
	}
}

// The name of a port that does not exist is an error: otherwise the page would be unreachable.
func TestAdminNeedsAPort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files(plainUsers, plainPolicy, s.port("internal", "require"))
	for port, want := range map[string]string{"": "-admin is empty", "x": `-admin: "x" is not a port`} {
		out := &testkit.Buffer{}
		if got := run(context.Background(), []string{"-config", s.config(), "-admin", port}, out, out); got != exitInvalid || !strings.Contains(out.String(), want) {
			t.Errorf("-admin %q: status %d\n%s", port, got, out)
		}
	}
}
