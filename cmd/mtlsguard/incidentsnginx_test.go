//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// newNginx starts nginx with one text of its configuration replaced.
func newNginx(n *nightSite, old, replacement string) *nginx {
	n.Helper()
	conf, err := os.ReadFile("../../forwarded/testdata/gateways/nginx.conf")
	if err != nil {
		n.Fatal(err)
	}
	g := &nginx{nightSite: n, addr: testkit.FreeAddress(n)}
	n.pair("gateway", n.gateway)
	n.put("service-ca.pem", n.get("server-ca.pem"))
	temporary := "http {\n    access_log off;\n"
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += "    " + what + "_temp_path " + n.path(what) + ";\n"
	}
	n.put("nginx.conf", strings.NewReplacer("@PKI@", n.dir, "@LISTEN@", g.addr, "@SERVICE@", n.expand("$EDGE"), "@NAME@", "localhost", "http {\n", temporary).Replace(string(conf)))
	n.edit("nginx.conf", old, replacement)
	main := "daemon off; pid " + n.path("nginx.pid") + ";"
	if os.Geteuid() == 0 {
		main += " user root;" // its workers write in the folder
	}
	g.cmd = exec.Command(testkit.Program(n, "nginx", "nginx-light"), "-p", n.dir, "-c", n.path("nginx.conf"), "-e", "stderr", "-g", main)
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := g.cmd.Start(); err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM) // the master ends its workers
		_ = g.cmd.Wait()
	})
	n.nginx = g
	testkit.Eventually(n, "nginx accepts connections", func() bool { return throughNginx("alice")(n).err == nil })
	return g
}

// throughNginx sends a client's request to nginx.
func throughNginx(client string) func(*nightSite) answerAtNight {
	return func(n *nightSite) answerAtNight {
		n.addrs["nginx"] = n.nginx.addr
		return n.send(call{client: client, port: "nginx", method: "GET", path: "/orders/7"})
	}
}

// reloadNginx reads the configuration again.
func (g *nginx) reload() {
	g.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		g.Fatal(err)
	}
}

// addLine adds the line of a hint to the location of nginx.conf.
func addLine(n *nightSite, p pasting) {
	_, line, ok := strings.Cut(p.hint, "(docs/gateways.md): ")
	if !ok {
		n.Fatalf("no line for nginx in %q", p.hint)
	}
	n.edit("nginx.conf", "proxy_set_header X-SSL-Client-Verify", line+"\n            proxy_set_header X-SSL-Client-Verify")
	n.nginx.reload()
}

// nginxIncidents are made behind a real gateway.
var nginxIncidents = []incident{
	{name: "a header that the gateway forgets", after: func(n *nightSite) {
		newNginx(n, "proxy_set_header X-SSL-Client-Cert   $ssl_client_escaped_cert;", "")
	}, send: throughNginx("alice"), fails: "400 bad-header", command: explainReference, cause: "X-Ssl-Client-Cert is missing", mend: "the gateway did not send the header", apply: addLine},
	{name: "a gateway's certificate that was replaced", after: func(n *nightSite) {
		n.gateway = n.gatewayCA.Leaf("gateway")
		newNginx(n, "", "")
	}, send: throughNginx("alice"), fails: "403 untrusted-gateway", command: explainReference, cause: "refused, 403 untrusted-gateway", mend: "add its fingerprint"},
	{name: "no rule, behind nginx", after: func(n *nightSite) { newNginx(n, "", "") }, send: throughNginx("erin"), fails: "403 no-rule",
		command: explainReference, cause: "403 no-rule: GET /orders/7 on port edge, as user erin", mend: "allow exactly this request"},
	{name: "a renewed certificate, behind nginx", after: func(n *nightSite) {
		newNginx(n, "", "")
		n.edit("policy.csv", "p, user:partner, internal,", "p, user:partner, *,")
		testkit.Eventually(n, "the partner gets in", func() bool { return throughNginx("partner")(n).status == 200 })
		n.renew(testpki.NewKey())
	}, send: throughNginx("partner"), fails: unmapped, command: explainReference, cause: "the certificate was probably renewed", mend: "Map the new one too"},
	{name: "disabled, behind nginx", before: disable, after: func(n *nightSite) {
		newNginx(n, "", "")
		n.edit("policy.csv", "p, user:partner, internal,", "p, user:partner, *,")
	}, send: throughNginx("partner"), fails: unmapped, command: explainReference, cause: "users.yaml:2 disables partner", mend: "to let them back"},
}

// Behind nginx, too, one command finds the cause and the change. nginx serves the real client.
func TestIncidentBehindNginxIsMendedByOneCommand(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "nginx", "nginx-light")
	runIncidents(t, nginxIncidents)
}
