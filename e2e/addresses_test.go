package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A port without addresses has those of the file, and one with its own has none of them. A
// reload acts on open connections.
// Covers N1.
func TestAddressesOfTheFileAndOfAPort(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const ofFile = "addresses: {deny: [127.0.0.0/8]}\n"
	s.put(config, s.get(config)+ofFile)
	s.sub(config, "    strict: true\n", "    strict: true\n    addresses: {allow: [127.0.0.1/32, 10.0.0.0/8]}\n")
	l := s.start(mtlsguard.Options{})
	alice := s.client(s.alice)
	if got := get(alice, l.url("internal", "/whoami")); got != "200 alice" {
		t.Errorf("the port with its own: %s, want 200 alice", got)
	}
	if got := get(s.client(nil), l.url("public", "/whoami")); got != "refused" {
		t.Errorf("the port with those of the file: %s, want refused", got)
	}
	if line := l.line("event", "handshake", "reason", "address"); line["port"] != "public" || line["outcome"] != "refuse" ||
		line["error"] != "address: 127.0.0.1 is in 127.0.0.0/8 of addresses.deny" || !strings.HasPrefix(fmt.Sprint(line["remote"]), "127.0.0.1:") {
		t.Errorf("logged %v, want the address and the list that denies it", line)
	}
	if n := status(l, "public").Handshakes[reason.Address]; n == 0 {
		t.Error("the refusal is not counted")
	}
	s.sub(config, "allow: [127.0.0.1/32, 10.0.0.0/8]", "allow: [10.0.0.0/8]")
	s.sub(config, ofFile, "addresses: {allow: [127.0.0.0/8]}\n")
	start := time.Now()
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the connection is closed", func() bool { return status(l, "internal").Connections == 0 })
	if d := time.Since(start); d > testkit.Patience/2 { // on a busy machine
		t.Errorf("closed after %v", d)
	}
	if line := l.line("event", "closed"); line["reason"] != "address" || line["user"] != "alice" || line["msg"] != "closed: the address is not accepted any more" {
		t.Errorf("logged %v, want alice's connection, closed for its address", line)
	}
	if got := get(alice, l.url("internal", "/whoami")); got != "refused" {
		t.Errorf("after the reload: %s, want refused", got)
	}
	if got := get(s.client(nil), l.url("public", "/whoami")); got != "200 Default" {
		t.Errorf("after the reload: %s, want 200 Default", got)
	}
}
