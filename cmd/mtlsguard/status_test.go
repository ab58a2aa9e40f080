//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The exit status is 0 only if the server is well. Otherwise the text has the reasons.
func TestStatusSaysWhetherTheServerIsWell(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)
	next := at.Add(time.Minute)
	for _, row := range []struct {
		name   string
		report statussocket.Report
		code   int
		want   []string
	}{
		{"ready", statussocket.Report{Ready: true, At: at, Since: at, Generation: 3, PID: 12, Config: "mtlsguard.yaml"}, exitYes,
			[]string{"ready\n\n", "generation  3, since 2026-01-31T08:00:00Z\n", "process     12, "}},
		{"degraded", statussocket.Report{Ready: true, At: at, Degraded: []string{"the last reload failed"}, Failed: []statussocket.ConfigError{{File: "users.yaml", Line: 3, What: `"x" is wrong`, Hint: "mend it"}}}, exitNo,
			[]string{"ready, degraded\nbecause the last reload failed\n", "users.yaml:3: \"x\" is wrong\n    mend it\n"}},
		{"not ready", statussocket.Report{At: at, NotReady: []string{"the ports are not open"}}, exitNo, []string{"not ready\nbecause the ports are not open\n"}},
		{"ports", statussocket.Report{Ready: true, At: at, Ports: []statussocket.Port{{
			Name: "internal", Addr: "127.0.0.1:8443", Connections: 2, Allowed: 5, Failed: 4,
			Refused:    map[reason.Reason]uint64{reason.Denied: 1, reason.NoRule: 3},
			Handshakes: map[reason.Reason]uint64{reason.Expired: 6},
		}}}, exitYes, []string{"internal  127.0.0.1:8443  2            5        no-rule 3, denied 1  expired 6           4\n"}},
		{"a CRL that is fetched", statussocket.Report{Ready: true, At: at, Ends: []statussocket.End{
			{What: "the old one", At: at.Add(-time.Hour), File: "ca.pem"},
			{What: "the CRL", At: at.Add(time.Hour), File: "ca.crl", NextFetch: &next, LastFetched: &at}, {What: "another", At: at.Add(time.Hour), File: "b.crl", NextFetch: &next}}}, exitYes,
			[]string{"2026-01-31T07:00:00Z (ended)  the old one  ca.pem\n", "ca.crl, fetched at 2026-01-31T08:00:00Z, next fetch at 2026-01-31T08:01:00Z\n", "b.crl, fetched not since the start, next fetch at"}},
		{"tunnels", statussocket.Report{Ready: true, At: at, Gateways: map[string]int{"gw:1": 2}, Services: map[string]int{"orders": 0}, LogDropped: 2}, exitYes,
			[]string{"2        gateway  gw:1\n", "0        service  orders\n", "warning: 2 lines of the log dropped"}},
		{"a fleet", statussocket.Report{Ready: true, At: at, Source: &statussocket.Source{Fleet: "orders", Number: 2, Author: "anna", At: at, Error: "the cable is cut"}}, exitYes,
			[]string{"fleet orders: generation 2 by anna, written at 2026-01-31T08:00:00Z; no answer since the start\nthe cable is cut\n"}},
		{"a refused generation", statussocket.Report{Ready: true, At: at, Source: &statussocket.Source{Fleet: "orders", Number: 2, Author: "anna", At: at, Heard: &next, Error: "x", Refused: 3,
			RefusedErrors: []statussocket.ConfigError{{File: "fleet/users.yaml", Line: 3, What: `"x" is wrong`, Hint: "mend it"}}}}, exitYes,
			[]string{"; last answer at 2026-01-31T08:01:00Z\ngeneration 3 is refused, and generation 2 stays in effect:\nfleet/users.yaml:3: \"x\" is wrong\n    mend it\n"}},
	} {
		path := filepath.Join(t.TempDir(), "status.sock")
		s, err := statussocket.Listen(path, func() *statussocket.Report { return &row.report })
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"status", "--socket", path}, nil, &out, &errs); code != row.code || errs.Len() > 0 {
			t.Errorf("%s: status %d: %s", row.name, code, &errs)
		}
		for _, want := range row.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, &out)
			}
		}
		var asJSON bytes.Buffer
		var got statussocket.Report
		if code := run(t.Context(), []string{"status", "--socket", path, "--json"}, nil, &asJSON, &errs); code != row.code || json.Unmarshal(asJSON.Bytes(), &got) != nil || got.Ready != row.report.Ready {
			t.Errorf("%s: status %d: %s", row.name, code, &asJSON)
		}
		s.Close()
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"status", "--socket", filepath.Join(t.TempDir(), "none.sock")}, nil, &out, &errs); code != exitInvalid ||
		!strings.Contains(errs.String(), "none.sock: the status socket does not exist\nhint: start the server with a status socket: ") {
		t.Errorf("status %d: %s%s", code, &out, &errs)
	}
}

// The sample of docs/command.md is what the command prints for such a server.
func TestStatusSampleIsRealOutput(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 2, 40, 0, 0, time.UTC)
	fetched, next := at.Add(-50*time.Minute), at.Add(10*time.Minute)
	var out bytes.Buffer
	printStatus(&app{stdout: &out}, &statussocket.Report{
		At: at, PID: 4711, Config: "/etc/orders/mtlsguard.yaml", Ready: true, Degraded: []string{"the last reload failed"}, Generation: 3, Since: at.Add(-30 * time.Hour),
		Failed: []statussocket.ConfigError{{File: "/etc/orders/users.yaml", Line: 3, What: `key "usr" is unknown`, Hint: "user"}},
		Ports: []statussocket.Port{
			{Name: "internal", Addr: "127.0.0.1:8443", Connections: 12, Allowed: 80512, Refused: map[reason.Reason]uint64{reason.Denied: 4, reason.NoRule: 31}, Handshakes: map[reason.Reason]uint64{reason.Expired: 2}, Failed: 1},
			{Name: "public", Addr: "127.0.0.1:8445", Connections: 1, Allowed: 9},
		},
		Ends: []statussocket.End{
			{What: `port internal: the CRL of "CN=Client CA,O=Acme"`, At: at.Add(22 * time.Hour), File: "/etc/orders/ca.crl", LastFetched: &fetched, NextFetch: &next},
			{What: "the server's certificate of port internal", At: at.Add(40 * 24 * time.Hour), File: "/etc/orders/server.pem"},
		},
	})
	want := "```text\n$ mtlsguard status --socket status.sock\n" + out.String() + "```\n"
	if page := read(t, "../../docs/command.md"); !strings.Contains(page, want) {
		t.Errorf("docs/command.md lacks\n%s", want)
	}
}

// Nothing that a socket gives reaches the terminal unescaped.
func FuzzStatusOutput(f *testing.F) {
	f.Add([]byte(`{"ready":true,"config":"\u001b[2J","not_ready":["\u202e"],"ports":[{"name":"\u0007","addr":"\u009b","refused":{"\u001b":1}}]}`))
	f.Add([]byte(`{"failed":[{"file":"\u001b","what":"\u0000","hint":"\r"}],"ends":[{"what":"\u001b","file":"\n"}],"gateways":{"\u001b":1},"services":{"\u001b":-1},"degraded":["\n"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r statussocket.Report
		if json.Unmarshal(data, &r) != nil {
			return
		}
		var out bytes.Buffer
		printStatus(&app{stdout: &out}, &r)
		for _, c := range out.String() {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("%q in %q", c, out.String())
			}
		}
	})
}
