package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mtlsguard-fleet": main})
}

// Every command is run as text and as JSON, with valid and invalid input. Each script has the test
// certificates, the configuration of a node, a folder fleet, a key, and an empty store.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"MTLSGUARD_FLEET", "MTLSGUARD_SIGN", "MTLSGUARD_PASSWORD"} {
				env.Setenv(name, "")
			}
			env.Setenv("MTLSGUARD_STORE", filepath.Join(env.WorkDir, "store"))
			return writeNode(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"hints": hints, "report": report, "damage": damage, "noted": noted, "forge": forge},
	})
}

const nodeYAML = `users: fleet/users.yaml
policy: fleet/policy.csv
source: {mount: fleet, keep: keep, signers: [signer.pem.pub], fleet: orders, first: 5s, poll: 1s}
reload: 50ms
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [fleet/client-ca.pem], crls: [fleet/crls]}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [fleet/client-ca.pem], crls: [fleet/crls]}
`

const fleetUsers = `# users of the fleet
mappings:
  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
`

const fleetPolicy = `# subject, port, methods, path, effect
p, group:Authenticated, *, GET, /whoami, allow
p, user:orders-api, internal, GET, /orders/{id}, allow
p, group:staff, *, GET|POST, /orders/*, allow
g, user:alice, group:staff
`

// nodeCertificates are the files of testdata/pki that the tests and their scripts use.
const nodeCertificates = `
server-ca.pem server.pem server-key.pem client-ca.pem client-ca.crl partner-ca.pem
alice.pem alice-key.pem bob.pem bob-key.pem carol.pem carol-key.pem orders.pem orders-key.pem
partner.pem partner-key.pem stranger.pem stranger-key.pem untrusted.pem
`

// writeNode writes what an editor has: the configuration of a node without its certificate, the folder
// of the fleet, and a key.
func writeNode(dir string) error {
	files := map[string]string{
		"mtlsguard.yaml": nodeYAML, "fleet/users.yaml": fleetUsers, "fleet/policy.csv": fleetPolicy,
		"fleet/client-ca.pem": "", "fleet/crls/client-ca.crl": "",
	}
	for _, name := range strings.Fields(nodeCertificates) {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, "server") {
			name = "node/" + name
		}
		files[name] = string(data)
	}
	files["fleet/client-ca.pem"], files["fleet/crls/client-ca.crl"] = files["client-ca.pem"], files["client-ca.crl"]
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "store"), 0o700); err != nil {
		return err
	}
	return (&keygenCmd{File: filepath.Join(dir, "signer.pem")}).Run(&app{stdout: &strings.Builder{}})
}

// hints checks that the last command's standard error has only lines that begin with
// error: or hint:, and a hint for each error. With !, standard error must be empty.
func hints(ts *testscript.TestScript, neg bool, _ []string) {
	text := ts.ReadFile("stderr")
	if neg {
		if text != "" {
			ts.Fatalf("standard error: %s, want none", text)
		}
		return
	}
	ts.Check(testkit.CheckHints(text))
}

// report leaves the report of a node in the store: report NODE NUMBER [AGE [REFUSED ERROR]].
func report(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	store := source.Folder(ts.MkAbs("store"))
	number, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	g, err := store.At(ctx, number)
	ts.Check(err)
	r := source.Report{Node: args[0], Number: number, Digest: g.Digest(), Since: g.Manifest.At, At: time.Now()}
	if len(args) > 2 {
		age, err := time.ParseDuration(args[2])
		ts.Check(err)
		r.At = r.At.Add(-age)
	}
	if len(args) > 4 {
		r.Refused, err = strconv.ParseUint(args[3], 10, 64)
		ts.Check(err)
		r.Errors = []string{args[4] + "\x1b[2J"}
	}
	ts.Check(store.PutReport(ctx, r))
}

// damage changes a byte in the blob of a file of the newest generation.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	g, err := source.Folder(ts.MkAbs("store")).Load(context.Background(), nil)
	ts.Check(err)
	for _, f := range g.Manifest.Files {
		if f.Name == args[0] {
			name := filepath.Join(ts.MkAbs("store"), "blob", f.SHA256.String())
			data, err := os.ReadFile(name)
			ts.Check(err)
			data[0]++
			ts.Check(os.WriteFile(name, data, 0o600))
		}
	}
}

// noted commits a generation whose author and note are not for terminals, as another program could.
func noted(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := context.Background()
	store := source.Folder(ts.MkAbs("store"))
	parent, err := store.Load(ctx, nil)
	ts.Check(err)
	g, err := source.Next(parent, source.Manifest{Author: "eve\x1b[2J", Note: "line\n2 \u202eadmin", Ports: []string{"\x1b[1m"}}, parent.FS())
	ts.Check(err)
	ts.Check(store.Commit(ctx, g))
}

// forge commits a generation without a signature, in which eve is a user.
func forge(ts *testscript.TestScript, _ bool, _ []string) {
	ctx := context.Background()
	store := source.Folder(ts.MkAbs("store"))
	parent, err := store.Load(ctx, nil)
	ts.Check(err)
	files, err := fleetedit.ContentsOf(ctx, parent)
	ts.Check(err)
	files["users.yaml"] = append(files["users.yaml"], `  - {id: eve, user: eve, subject: "CN=eve", issuer: client-ca.pem}`+"\n"...)
	fsys, err := files.FS()
	ts.Check(err)
	g, err := source.Next(parent, source.Manifest{Author: "anna"}, fsys)
	ts.Check(err)
	ts.Check(store.Commit(ctx, g))
}

// call runs a command line in this process, and returns its status and output.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	status = run(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}
