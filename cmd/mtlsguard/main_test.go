package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
)

// TestMain puts the command into PATH: under the name mtlsguard, this program is the command.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "mtlsguard" {
		main()
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "mtlsguard")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Symlink(self, filepath.Join(dir, "mtlsguard")); err != nil {
		panic(err)
	}
	os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	debug.SetGCPercent(400) // the tests allocate much and keep little
	return m.Run()
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
	_, err := serveSiteWith(mtlsguard.Options{StatusSocket: filepath.Join(dir, "status.sock")}, dir, setenv, atEnd)
	return err
}

// serveSiteWith does the same with options.
func serveSiteWith(o mtlsguard.Options, dir string, setenv func(key, value string), atEnd func(func())) (*mtlsguard.Server, error) {
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.Ready = func() { close(ready) }
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), o)
	if err != nil {
		stop()
		return nil, err
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
		return nil, err
	}
	for _, p := range server.Ports() {
		setenv(strings.ToUpper(p.Name()), p.Addr().String())
	}
	return server, nil
}
