package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Each row explains a request, pastes the hint as it is printed, and explains the request
// again: the decision has changed as the hint promises, and no other.
func TestPastedHintChangesOneDecision(t *testing.T) {
	before := map[string]map[string]string{} // the decisions of each configuration
	for _, row := range []struct {
		name    string
		request string
		reason  string
		find    string // text of the hint
		file    string // the name in the place of ISSUER.pem
		after   string // the reason afterwards; "" is allowed
		config  string // replaces a part of mtlsguard.yaml: old=>new
	}{
		{"one line of policy", "--cert ed25519.pem --port internal GET /orders/7", "no-rule", "exactly this request", "", "", ""},
		{"a membership", "--cert ed25519.pem --port internal GET /orders/7", "no-rule", "for group staff", "", "", ""},
		{"Default", "--port public DELETE /x", "no-rule", "exactly this request", "", "", ""},
		{"OPTIONS *", "--cert alice.pem --port internal OPTIONS *", "no-rule", "exactly this request", "", "", ""},
		{"the list itself", "--cert alice.pem --port internal GET /orders", "no-rule", "exactly this request", "", "", ""},
		{"a mapping", "--cert stranger.pem --port internal GET /whoami", "unmapped", "map the certificate to a user", "", "", ""},
		{"an anchor", "--cert partner.pem --port internal GET /whoami", "unknown-authority", "to trust the issuer", "partner-ca.pem", "unmapped", ""},
		{"an anchor in block style", "--cert partner.pem --port internal GET /whoami", "unknown-authority", "to trust the issuer", "partner-ca.pem", "unmapped",
			"trust: {anchors: [client-ca.pem]}\n  - name: partner=>trust:\n      # who\n      anchors:\n        - client-ca.pem # ours\n      profile: strict\n  - name: partner"},
		{"an anchor and its CRL", "--cert partner.pem --port internal GET /whoami", "unknown-authority", "to trust the issuer", "partner-ca.pem", "unmapped",
			"trust: {anchors: [client-ca.pem]}\n  - name: partner=>trust: {anchors: [client-ca.pem], crls: [client-ca.crl]} # ours\n  - name: partner"},
		{"an anchor where revocation is soft", "--cert partner.pem --port internal GET /whoami", "unknown-authority", "to trust the issuer", "partner-ca.pem", "unmapped",
			"trust: {anchors: [client-ca.pem]}\n  - name: partner=>trust: {anchors: [client-ca.pem], crls: [client-ca.crl], revocation: soft}\n  - name: partner"},
		{"a profile", "--cert no-eku.pem --port internal GET /whoami", "wrong-usage", "profile compatible", "", "", ""},
		{"a profile that is set", "--cert no-eku.pem --port internal GET /whoami", "wrong-usage", "profile compatible", "", "",
			"trust: {anchors: [client-ca.pem]}\n  - name: partner=>trust: {profile: strict, anchors: [client-ca.pem]} # ours\n  - name: partner"},
		{"a profile in block style", "--cert no-eku.pem --port internal GET /whoami", "wrong-usage", "profile compatible", "", "",
			"trust: {anchors: [client-ca.pem]}\n  - name: partner=>trust:\n      anchors: [client-ca.pem]\n  - name: partner"},
		{"a larger key", "--cert rsa8192.pem --port internal GET /whoami", "weak-key", "8192 bits", "", "", ""},
		{"strict", "--port partner GET /whoami", "no-certificate", "the user Default", "", "no-rule", ""},
		{"a method", "--cert alice.pem --port internal PROPFIND /orders/7", "ambiguous-path", "the methods of the port", "", "no-rule", ""},
		{"another method", "--cert alice.pem --port internal PROPFIND /orders/7", "ambiguous-path", "the methods of the port", "", "no-rule",
			"  - name: internal=>  - name: internal\n    methods: [REPORT]"},
		{"a name", "--cert alice.pem --port internal --host-name b.example GET /orders/7", "misdirected", "the server_names of the port", "", "",
			"  - name: internal=>  - name: internal\n    server_names: [localhost, a.example]"},
		{"a disabled mapping", "--cert orders.pem --port internal GET /orders/7", "unmapped", "to let them back", "", "", "disabled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeSite(dir); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			if old, replacement, ok := strings.Cut(row.config, "=>"); ok {
				if text := read(t, "mtlsguard.yaml"); !strings.Contains(text, old) {
					t.Fatalf("the configuration has no %q", old)
				} else {
					put(t, "mtlsguard.yaml", strings.Replace(text, old, replacement, 1))
				}
			} else if row.config != "" {
				put(t, "users.yaml", strings.Replace(read(t, "users.yaml"), "user: orders-api,", "user: orders-api, disabled: true,", 1))
			}
			request := strings.Fields(row.request)
			refused := explainRequest(t, request)
			if string(refused.Reason) != row.reason {
				t.Fatalf("the reason is %q before, want %q", refused.Reason, row.reason)
			}
			others := before[row.config]
			if others == nil {
				others = decisions(t, nil)
				before[row.config] = others
			}
			at := slices.IndexFunc(refused.Hints, func(h hint) bool { return strings.Contains(h.Text, row.find) })
			if at < 0 {
				t.Fatalf("no hint has %q: %+v", row.find, refused.Hints)
			}
			h := refused.Hints[at]
			h.Write = strings.Replace(h.Write, "ISSUER.pem", row.file, 1)
			h.Write = strings.Replace(h.Write, "ISSUER.crl", "partner-ca.crl", 1)
			paste(t, h)
			if after := explainRequest(t, request); string(after.Reason) != row.after || after.Allowed != (row.after == "") {
				t.Errorf("the reason afterwards is %q %s, want %q", after.Reason, after.Detail, row.after)
			}
			for request, now := range decisions(t, request) {
				if was := others[request]; now != was {
					t.Errorf("the hint changed %s too: %s before, %s now", request, was, now)
				}
			}
		})
	}
}

// No hint goes around a line that denies, disables or ends.
func TestHintNeverGoesAroundABan(t *testing.T) {
	for _, row := range []struct{ name, users, policy, request, reason, want string }{
		{"a deny rule", "", "", "--cert bob.pem --port internal GET /orders/7", "denied", "policy.csv:5 denies the request"},
		{"a deny rule of a group", "", "p, group:blocked, *, *, /*, deny\ng, user:alice, group:blocked\n", "--cert alice.pem --port internal GET /orders/7", "denied",
			"policy.csv:10 makes a member: g, user:alice, group:blocked"},
		{"a disabled mapping", "disabled: true", "", "--cert orders.pem --port internal GET /orders/7", "unmapped", "users.yaml:4 disables orders"},
		{"an ended mapping", "not_after: 2025-01-01", "", "--cert orders.pem --port internal GET /orders/7", "mapping-expired", "mapping orders was valid until"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeSite(dir); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			if row.users != "" {
				put(t, "users.yaml", strings.Replace(read(t, "users.yaml"), "user: orders-api,", "user: orders-api, "+row.users+",", 1))
			}
			put(t, "policy.csv", read(t, "policy.csv")+row.policy)
			x := explainRequest(t, strings.Fields(row.request))
			if string(x.Reason) != row.reason {
				t.Fatalf("the reason is %q, want %q", x.Reason, row.reason)
			}
			found := false
			for _, h := range x.Hints {
				found = found || strings.Contains(h.Text, row.want)
				if h.Write != "" || strings.Contains(h.Command, "users add") || strings.Contains(h.Text, "remove") {
					t.Errorf("the hint goes around the line: %+v", h)
				}
			}
			if !found {
				t.Errorf("no hint has %q: %+v", row.want, x.Hints)
			}
		})
	}
}

// decisions returns the decisions about requests with another certificate, or on another
// port without one. With except nil it returns all of them.
func decisions(t *testing.T, except []string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range []string{
		"--cert alice.pem --port internal POST /orders/7", "--cert alice.pem --port internal DELETE /orders/7", "--cert bob.pem --port internal GET /orders/7",
		"--cert carol.pem --port partner GET /whoami", "--cert orders.pem --port internal GET /orders/7", "--cert stranger.pem --port partner GET /whoami",
		"--cert partner.pem --port partner GET /whoami", "--cert untrusted.pem --port internal GET /whoami", "--cert expired.pem --port internal GET /whoami",
		"--cert no-eku.pem --port partner GET /whoami", "--port public GET /whoami", "--port partner GET /whoami", "--port internal GET /whoami",
	} {
		fields := strings.Fields(line)
		if len(except) > 0 && slices.Equal(fields[:2], except[:2]) { // --cert FILE or --port NAME
			continue
		}
		x := explainRequest(t, fields)
		out[line] = x.User + " " + string(x.Reason)
	}
	return out
}

// paste does what a hint says: it runs the command, or writes the line in its place.
func paste(t *testing.T, h hint) {
	t.Helper()
	switch {
	case h.Command != "":
		command(t, h)
	case h.Line == 0:
		put(t, h.File, read(t, h.File)+h.Write+"\n")
	default:
		lines := strings.SplitAfter(read(t, h.File), "\n")
		old := lines[h.Line-1]
		line := old[:len(old)-len(strings.TrimLeft(old, " "))] + h.Write + "\n"
		if h.New {
			lines = slices.Insert(lines, h.Line-1, line)
		} else {
			lines[h.Line-1] = line
		}
		put(t, h.File, strings.Join(lines, ""))
	}
}

// answer holds the fields of the JSON of explain that the tests read.
type answer struct {
	Allowed bool          `json:"allowed"`
	Reason  reason.Reason `json:"reason"`
	Detail  string        `json:"detail"`
	User    string        `json:"user"`
	Hints   []hint        `json:"hints"`

	Log       *logReport `json:"log"`
	Undecided []string   `json:"undecided"`
}

func explainRequest(t *testing.T, request []string) answer {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"explain", "--json", "--config", "mtlsguard.yaml"}, request...), strings.NewReader(""), &out, &errs); code == exitInvalid {
		t.Fatalf("explain: %s", errs.String())
	}
	var x answer
	if err := json.Unmarshal(out.Bytes(), &x); err != nil {
		t.Fatal(err)
	}
	return x
}

func command(t *testing.T, h hint) {
	t.Helper()
	args := strings.Fields(strings.Replace(h.Command, "NAME", "someone", 1))
	var out, errs bytes.Buffer
	if code := run(t.Context(), args[1:], strings.NewReader(""), &out, &errs); code != exitYes {
		t.Fatalf("the command of the hint %s: %s", h.Command, errs.String())
	}
}
