package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mtlsguard": main})
}

// Every command is run as text and as JSON, with valid and invalid input. Each script has
// the test certificates, a configuration, and a server that serves it at $INTERNAL,
// $PARTNER and $PUBLIC.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("MTLSGUARD_PASSWORD", "")
			if err := writeSite(env.WorkDir); err != nil {
				return err
			}
			return serveSite(env.WorkDir, env.Setenv, env.Defer)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fifo": fifo, "huge": huge, "silent": silent, "hints": hints, "mute": mute, "until": until},
	})
}

const siteConfig = `users: users.yaml
policy: policy.csv
reload: 50ms
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
  - name: partner
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem, partner-ca.pem]}
  - name: public
    listen: 127.0.0.1:0
    client_cert: request
    certificate: {cert: server.pem, key: server-key.pem}
    trust: {anchors: [client-ca.pem]}
    strict: false
`

const siteUsers = `# users of the tests
mappings:
  # the machines
  - {id: orders, user: orders-api, uri: "spiffe://acme/ns/prod/sa/orders", issuer: client-ca.pem}
  - id: carol
    user: carol-on-partner
    subject: "CN=carol,OU=Staff,O=Acme"
    issuer: client-ca.pem
    ports: [partner]

  # the people
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem, ports: [internal, public]}
  # the end
`

const sitePolicy = `# subject, port, methods, path, effect
p, group:Authenticated, *,        GET,      /whoami,      allow
p, group:Anonymous,     public,   GET,      /whoami,      allow
p, group:staff,         *,        GET|POST, /orders/*,    allow
p, user:bob,            *,        *,        /orders/*,    deny
p, user:orders-api,     internal, GET,      /orders/{id}, allow
g, user:alice, group:staff
g, user:bob,   group:staff
`

// siteLog is the log of a server, for the transcripts.
const siteLog = `{"time":"2026-01-31T08:00:00Z","level":"INFO","msg":"decision","event":"decision","outcome":"allow","port":"internal","remote":"192.0.2.7:50112","user":"alice","mapping":"staff","method":"GET","path":"/orders/7","rule":"policy.csv:4","fingerprint":"9f2245b56f7431c7250d263b24ac6e70be22088eeff5d35a5e6f575d0b15f80b","subject":"CN=alice,OU=Staff,O=Acme","issuer":"CN=Client CA,O=Acme","serial":"65CF5C4D7C286D86005257B916B7498B","generation":1}
{"time":"2026-01-31T08:00:01Z","level":"WARN","msg":"decision","event":"decision","outcome":"refuse","reason":"unmapped","port":"internal","remote":"192.0.2.9:50113","method":"GET","path":"/whoami","fingerprint":"6b03cb3214118d1fd0d1649c341ced9579475d1faabcfa296914dd36e6e9c952","subject":"CN=stranger,O=Elsewhere","issuer":"CN=Client CA,O=Acme","serial":"4D82C71F2EC240A09A07CF50ECDE4F35","reference":"6f1c2a9b7d3e4f50","error":"no mapping matches","generation":1}
{"time":"2026-01-31T08:00:02Z","level":"WARN","msg":"decision","event":"decision","outcome":"refuse","reason":"denied","port":"internal","remote":"192.0.2.8:50114","user":"bob","mapping":"staff","method":"GET","path":"/orders/7","rule":"policy.csv:5","fingerprint":"daa08f693966748d3b8243b24b8349c7014b6ebafb891954882db1057d8f9f10","subject":"CN=bob,OU=Staff,O=Acme","issuer":"CN=Client CA,O=Acme","serial":"47A096FB77DDCAFB9F48C24B66B0A3B9","reference":"0d4b11c6a2f97e35","generation":1}
`

// siteCertificates are the files of testdata/pki that the tests and their scripts use: writing
// all of them for each test takes longer than most tests.
const siteCertificates = `
server-ca.pem server.pem server-key.pem client-ca.pem client-ca-key.pem client-ca.crl client-ca.crl.der client-ca-stale.crl
partner-ca.pem partner-ca.crl gateway-ca.pem registration-ca.pem expired-sub-ca.pem
alice.pem alice-key.pem bob.pem bob-key.pem carol.pem carol-key.pem orders.pem orders-key.pem partner.pem partner-key.pem
stranger.pem stranger-key.pem untrusted.pem untrusted-key.pem expired.pem expired-key.pem
orders-server.pem orders-server-key.pem gateway.pem gateway-key.pem
bidi-cn.pem bmp-cn.pem ed25519.pem ed25519-key.pem mallory.pem newline-cn.pem no-eku.pem no-eku-key.pem not-yet-valid.pem not-yet-valid-key.pem
reserved-default.pem revoked.pem revoked-key.pem rsa8192.pem sha1.pem two-uris.pem
`

// writeSite writes test certificates and a configuration into a folder.
func writeSite(dir string) error {
	var failed error
	write := func(name string, data []byte) {
		failed = errors.Join(failed, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
	for _, name := range strings.Fields(siteCertificates) {
		data, err := pki.Files.ReadFile(name)
		if err != nil {
			return err
		}
		write(name, data)
	}
	write("mtlsguard.yaml", []byte(siteConfig))
	write("users.yaml", []byte(siteUsers))
	write("policy.csv", []byte(sitePolicy))
	return failed
}

// serveSite serves a folder's configuration until the end of the test.
func serveSite(dir string, setenv func(key, value string), atEnd func(func())) error {
	return serveSiteWith(mtlsguard.Options{StatusSocket: filepath.Join(dir, "status.sock")}, dir, setenv, atEnd)
}

// serveSiteWith does the same with options.
func serveSiteWith(o mtlsguard.Options, dir string, setenv func(key, value string), atEnd func(func())) error {
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), o)
	if err != nil {
		stop()
		return err
	}
	go func() { ended <- server.Serve(ctx, http.HandlerFunc(whoami)) }()
	atEnd(func() {
		stop()
		<-ended
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		return err
	}
	for _, p := range server.Ports() {
		setenv(strings.ToUpper(p.Name()), p.Addr().String())
	}
	return nil
}

// fifo creates a named pipe without a writer.
func fifo(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Mkfifo(ts.MkAbs(args[0]), 0o600))
}

// huge creates a sparse file of 300 MiB.
func huge(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte("mappings: []\n"), 0o600))
	ts.Check(os.Truncate(ts.MkAbs(args[0]), 300<<20))
}

// until repeats a command until it succeeds.
func until(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(testkit.Patience); ts.Exec(args[0], args[1:]...) != nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("no success within %v: %s", testkit.Patience, args)
		}
	}
}

// silent listens, sets the variable to the address, and closes every connection.
func silent(ts *testscript.TestScript, _ bool, args []string) { listen(ts, args[0], "") }

// mute listens, and answers every connection in plain HTTP.
func mute(ts *testscript.TestScript, _ bool, args []string) {
	listen(ts, args[0], "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
}

func listen(ts *testscript.TestScript, name, answer string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(name, l.Addr().String())
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Read(make([]byte, 4096))
			io.WriteString(c, answer)
			c.Close()
		}
	}()
}

// hints checks that the last command's standard error has only lines that begin with
// error: or hint:, and a hint for each error. With !, standard error must be empty.
func hints(ts *testscript.TestScript, neg bool, _ []string) {
	text := ts.ReadFile("stderr")
	if neg {
		if text != "" {
			ts.Fatalf("standard error: %s", text)
		}
		return
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "error: ") && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "hint: "):
		case strings.HasPrefix(line, "hint: ") && i > 0 && strings.HasPrefix(lines[i-1], "error: "):
		default:
			ts.Fatalf("line %d breaks the rules of output: %q in\n%s", i+1, line, text)
		}
	}
}
