package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/source"
)

var command string // the binary of mtlsguard-fleet

func TestMain(m *testing.M) { os.Exit(build(m)) }

// build makes the command, and runs the tests.
func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	command = filepath.Join(dir, "mtlsguard-fleet")
	c := exec.Command("go", "build", "-o", command, "./cmd/mtlsguard-fleet")
	c.Dir = ".."
	if out, err := c.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	return m.Run()
}

// editor is a folder with the configuration of a node, the files of a fleet, a key, and a store.
type editor struct {
	*testing.T
	dir   string
	store []string // variables of the environment
}

const node = `users: fleet/users.yaml
policy: fleet/policy.csv
source: {mount: fleet, keep: keep, signers: [signer.pem.pub], fleet: orders}
ports:
  - name: internal
    listen: 127.0.0.1:8443
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [fleet/client-ca.pem]}
`

func newEditor(t *testing.T, store ...string) *editor {
	e := &editor{T: t, dir: t.TempDir(), store: store}
	ca := testpki.NewCA("Client CA")
	for name, content := range map[string]string{
		"mtlsguard.yaml": node, "fleet/client-ca.pem": string(ca.CertPEM()), "bob.pem": string(ca.Leaf("bob").CertPEM()),
		"fleet/policy.csv": "p, group:Authenticated, *, GET, /*, allow\n",
		"fleet/users.yaml": "mappings:\n  - {id: alice, user: alice, subject: CN=alice, issuer: client-ca.pem}\n",
		"fleet/large.txt":  strings.Repeat("0123456789abcdef", 40_000), // in three parts
	} {
		e.write(name, content)
	}
	e.run(0, "keygen", "signer.pem")
	return e
}

func (e *editor) write(name, content string) {
	e.Helper()
	path := filepath.Join(e.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
		e.Fatal(err)
	}
}

// run runs the command, which has to end with a status, and returns its output.
func (e *editor) run(status int, args ...string) string {
	e.Helper()
	c := exec.Command(command, args...)
	c.Dir, c.Env = e.dir, append(append(os.Environ(), "MTLSGUARD_SIGN=signer.pem"), e.store...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != status {
		e.Fatalf("%s: %v, want status %d\n%s", strings.Join(args, " "), err, status, out)
	}
	return string(out)
}

// has checks what a command prints.
func (e *editor) has(out string, want ...string) {
	e.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			e.Errorf("%q is missing in\n%s", w, out)
		}
	}
}

// journey is the life of a fleet in a store. store is the same one, for the reports of nodes.
func (e *editor) journey(store source.Store) {
	e.Helper()
	e.run(1, "log")
	e.has(e.run(0, "push", "fleet", "--note", "first"), "generation 1 of fleet orders is committed")
	e.has(e.run(0, "users", "add", "--cert", "bob.pem", "--user", "bob", "--note", "CHG-1"), "added to fleet/users.yaml:3", "generation 2 ")
	e.write("fleet/policy.csv", "p, user:alice, *, GET, /*, allow\n")
	e.has(e.run(1, "push", "fleet"), "committed meanwhile: generation 2, ", ": CHG-1", "your change of generation 1", "--parent 2")
	e.run(0, "show", "--out", "edited")
	if data, err := os.ReadFile(filepath.Join(e.dir, "edited/large.txt")); err != nil || len(data) != 640_000 {
		e.Errorf("large.txt has %d bytes: %v", len(data), err)
	}
	e.write("edited/policy.csv", "p, user:alice, *, GET, /*, allow\n")
	e.run(0, "push", "edited", "--note", "CHG-2")
	e.has(e.run(1, "diff", "2", "3"), "- p, group:Authenticated, *, GET, /*, allow", "+ p, user:alice, *, GET, /*, allow")
	e.has(e.run(0, "rollback", "1"), `- {"id": "bob"`, "generation 4 ")
	e.has(e.run(0, "log"), "restores 1", "CHG-2", "CHG-1", "first")

	g, err := store.Load(e.Context(), nil)
	if err != nil {
		e.Fatal(err)
	}
	e.run(1, "status")
	r := source.Report{Node: "node-1", Number: 4, Digest: g.Digest(), Since: g.Manifest.At, At: g.Manifest.At}
	if err := store.PutReport(e.Context(), r); err != nil {
		e.Fatal(err)
	}
	e.has(e.run(0, "status", "--nodes", "1"), "node-1  4 ", "current")
	e.has(e.run(0, "seed", "--out", "keep"), "generation 4 of fleet orders is in keep")
}

// pruned checks that prune removes the oldest generations.
func (e *editor) pruned() {
	e.Helper()
	e.has(e.run(0, "prune", "--keep", "2", "--younger", "0s"), "generations removed: 2")
	out := e.run(0, "log")
	e.has(out, "\n4 ", "\n3 ")
	if strings.Contains(out, "\n2 ") {
		e.Error(out)
	}
	e.has(e.run(2, "show", "1"), "the store has no generation 1, or has it no more")
	e.run(0, "users", "add", "--cert", "bob.pem", "--user", "bob")
}
