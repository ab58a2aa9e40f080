package main

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// ask runs one command, and checks that its output has all the texts.
func (n *nightSite) ask(command string, status int, texts ...string) string {
	n.Helper()
	line := n.expand(command)
	output, got, took := n.shell(line)
	n.Logf("%v: %s\n%s", took.Round(10*time.Millisecond), line, output)
	if got != status {
		n.Errorf("exit status %d, want %d", got, status)
	}
	for _, text := range texts {
		if !strings.Contains(output, text) {
			n.Errorf("the output has no %q", text)
		}
	}
	return output
}

// The server lets in the users that `who` lists, and no others.
func TestQuestionWhoMay(t *testing.T) {
	t.Parallel()
	n := newNight(t)
	n.start()
	output := n.ask("mtlsguard who --config mtlsguard.yaml --port internal DELETE /orders/7", exitYes, "policy.csv:3", "staff users.yaml:3, by subject")
	for name := range n.clients {
		if name == "gateway" {
			continue
		}
		allowed := n.send(call{client: name, method: "DELETE", path: "/orders/7"}).status == http.StatusOK
		if listed := strings.Contains(output, "\n  "+name+" "); listed != allowed || allowed != (name == "admin") {
			t.Errorf("%s: listed %t, allowed %t", name, listed, allowed)
		}
	}
}

// `log` lists the calls of an hour, and no others.
func TestQuestionWhoCalledBetween(t *testing.T) {
	t.Parallel()
	n := newNight(t)
	clock := new(testkit.Clock)
	n.options.Now = clock.Now
	n.start()
	two := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	for _, name := range []string{"alice", "bob", "erin", "mallory"} {
		n.send(call{client: name, method: "GET", path: "/orders/7"})
	}
	testkit.Eventually(t, "the log has all calls", func() bool { _, ok := n.lastLine(`"user":"mallory"`); return ok })
	// The log has the machine's time. Each line gets the time of its call in this test.
	var lines []string
	at := map[string]time.Duration{"alice": -time.Minute, "bob": 0, "erin": 59 * time.Minute, "mallory": 61 * time.Minute}
	for line := range strings.Lines(n.get("server.log")) {
		for name, d := range at {
			if _, rest, ok := strings.Cut(line, `","level"`); ok && strings.Contains(line, `"user":"`+name+`"`) {
				line = `{"time":"` + two.Add(d).UTC().Format(time.RFC3339Nano) + `","level"` + rest
			}
		}
		lines = append(lines, line)
	}
	n.put("night.log", strings.Join(lines, ""))
	n.vars["$TWO"], n.vars["$THREE"] = two.UTC().Format(time.RFC3339), two.Add(time.Hour).UTC().Format(time.RFC3339)
	output := n.ask("mtlsguard log night.log --since $TWO --until $THREE", exitYes, "user=bob", "user=erin", "2 lines", "1  decision allow", "1  decision refuse no-rule")
	for _, name := range []string{"alice", "mallory"} {
		if strings.Contains(output, name) {
			t.Errorf("%s called at another time", name)
		}
	}
}

// Revoke a certificate at once: revoked lists the ports that still accept it, its hint makes them
// refuse it without the CA, and with the CA's list revoked shows that every port refuses it.
func TestQuestionRevokeNow(t *testing.T) {
	t.Parallel()
	n := newNight(t)
	n.pair("alice", n.clients["alice"])
	n.start()
	request := call{client: "alice", method: "GET", path: "/orders/7"}
	if a := n.send(request); a.status != http.StatusOK {
		t.Fatal(a)
	}
	const prove = "mtlsguard revoked --config mtlsguard.yaml --cert alice.pem"
	output := n.ask(prove, exitNo, "NOT revoked")
	for _, p := range pastings(output, "to refuse it at once") {
		n.paste(p, nil)
	}
	testkit.Eventually(t, "alice is refused at once", func() bool { return n.send(request).String() == "403 denied" })
	n.put("client-ca.crl", revocationText(n.ca.CRL(2, serials(n.clients["alice"]))))
	n.ask(prove, exitYes, "revoked on every port", "client-ca.crl")
	testkit.Eventually(t, "alice is refused in the handshake", func() bool { return strings.Contains(n.send(request).String(), "revoked certificate") })
	for request, now := range n.decisions() {
		if now != healthy[request] && !strings.HasPrefix(request, "alice ") {
			t.Errorf("%s gets %s, want %s", request, now, healthy[request])
		}
	}
}
