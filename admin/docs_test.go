package admin_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// The commands about fleets in docs/admin.md answer as the page says. Those before it are run by examples/server.
func TestDocsOfFleets(t *testing.T) {
	t.Parallel()
	shell := testkit.Program(t, "bash", "bash")
	testkit.Program(t, "curl", "curl")
	data, err := os.ReadFile("../docs/admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, _ := strings.Cut(string(data), "\n## In a fleet\n")
	_, session, _ := strings.Cut(page, "```console\n")
	session, _, _ = strings.Cut(session, "```")
	f := newFleet(t)
	s := f.site(f, f.signed(), editing, func(c *admin.Config) { c.Signer = f.key })
	for _, name := range []string{"server-ca.pem", "alice.pem", "alice-key.pem"} {
		content, err := pki.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s.put(name, string(content))
	}
	address := "localhost:" + s.addr["admin"][strings.LastIndex(s.addr["admin"], ":")+1:]
	run, before := 0, ""
	for _, call := range strings.Split("\n"+session, "\n$ ")[1:] {
		command, want, _ := strings.Cut(call, "\n")
		if strings.HasPrefix(command, "tag=") { // for the next command
			before = command + "\n"
			continue
		}
		cmd := exec.CommandContext(t.Context(), shell, "-c", strings.ReplaceAll(before+command, "localhost:8449", address))
		cmd.Dir, before = s.dir, ""
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != strings.TrimSpace(want) {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", command, err, out, want)
		}
		run++
	}
	if run != 4 {
		t.Errorf("%d commands, want 4", run)
	}
}
