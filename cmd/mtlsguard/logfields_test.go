package main

import (
	"strings"
	"testing"
)

// log prints what a line about a refusal or a closed connection has to find the cause.
func TestLogPrintsWhatFindsTheCause(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "server.log", `{"time":"2026-01-31T08:00:00Z","event":"decision","outcome":"refuse","reason":"unmapped","spki":"ab","san":"URI:spiffe://acme/x","certificates":2,"sni":"a.example","via_proxy":"10.0.0.1:4","client_ip":"192.0.2.1","host":"b.example","nearest":"users.yaml:2: subject \"x\"","stale":true}
{"time":"2026-01-31T08:00:01Z","event":"closed","reason":"revoked","user":"alice","count":7}
{"time":"2026-01-31T08:00:02Z","event":"edit","outcome":"failed","user":"alice","via":"tls","mapping":"staff","what":"remove mapping bob","note":"CHG-1","status":412,"error":"the users were changed"}
`)
	code, out, _ := runLine(t, "log server.log")
	if code != exitYes {
		t.Fatalf("got status %d: %s, want 0", code, out)
	}
	for _, want := range []string{
		"spki=ab", "san=URI:spiffe://acme/x", "certificates=2", "sni=a.example", "via_proxy=10.0.0.1:4", "client_ip=192.0.2.1", "host=b.example", `nearest='users.yaml:2: subject "x"'`, "stale=true",
		"closed revoked  user=alice  count=7", "  1  closed revoked\n",
		"edit failed  user=alice  via=tls  mapping=staff  what='remove mapping bob'  note=CHG-1", "error='the users were changed'", "  1  edit failed\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}
