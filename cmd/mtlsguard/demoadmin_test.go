package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A demo has an admin page. The certificate in admin.p12 opens it, and goes into a store of
// certificates by the commands that the demo prints; another certificate does not open it.
func TestDemoHasAnAdminPage(t *testing.T) {
	t.Parallel()
	curl, certutil := testkit.Program(t, "curl", "curl"), testkit.Program(t, "certutil", "libnss3-tools")
	folder := filepath.Join(t.TempDir(), "try it")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &watched{ready: make(chan struct{})}
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"demo", folder, "--first-port", "0"}, strings.NewReader(""), out, &errs)
	}()
	select {
	case <-out.ready:
	case code := <-ended:
		t.Fatalf("status %d: %s", code, errs.String())
	}
	printed := out.String()
	_, url, ok := strings.Cut(printed, "# The admin page: ")
	url, _, _ = strings.Cut(url, "\n")
	if !ok {
		t.Fatalf("the demo prints no URL\n%s", printed)
	}
	get := func(arguments ...string) string {
		arguments = append(arguments, "-sS", "--cacert", filepath.Join(folder, "server-ca.pem"), url)
		answer, _ := exec.CommandContext(t.Context(), curl, arguments...).CombinedOutput()
		return string(answer)
	}
	if page := get("--cert-type", "P12", "--cert", filepath.Join(folder, "admin.p12")+":demo"); !strings.Contains(page, "signed in as <strong>admin</strong>") {
		t.Errorf("the page does not know admin: %s", page)
	}
	if answer := get("--cert", filepath.Join(folder, "alice.pem"), "--key", filepath.Join(folder, "alice-key.pem")); !strings.Contains(answer, `"no-rule"`) {
		t.Errorf("alice: %s", answer)
	}

	home := t.TempDir()
	store := "sql:" + filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(strings.TrimPrefix(store, "sql:"), 0o700); err != nil {
		t.Fatal(err)
	}
	commands := []string{certutil + " -d " + store + " -N --empty-password"}
	for line := range strings.Lines(printed) {
		if command, ok := strings.CutPrefix(line, "#   "); ok {
			commands = append(commands, command)
		}
	}
	for _, command := range append(commands, certutil+" -d "+store+" -L") {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
		cmd.Env = append(os.Environ(), "HOME="+home)
		answer, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: got %v: %s, want no error", command, err, answer)
		}
		printed = string(answer)
	}
	if len(commands) != 3 || !strings.Contains(printed, "Demo Server CA") || !strings.Contains(printed, "u,u,u") {
		t.Errorf("%d commands; the store has\n%s", len(commands), printed)
	}
	stop()
	if code := <-ended; code != exitYes {
		t.Errorf("status %d: %s", code, errs.String())
	}
}
