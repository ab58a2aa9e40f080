package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Each row explains a request, applies the line or the command of a hint, and explains the
// request again: the decision must have changed as the hint says.
func TestHintsWork(t *testing.T) {
	for _, row := range []struct {
		name    string
		request []string
		reason  string
		find    string // text of the hint
		edit    func(t *testing.T, h hint)
		after   string // the reason afterwards; "" is allowed
	}{
		{"one line of policy", []string{"--cert", "ed25519.pem", "--port", "internal", "GET", "/orders/7"}, "no-rule", "exactly this request", addLine, ""},
		{"a membership", []string{"--cert", "ed25519.pem", "--port", "internal", "GET", "/orders/7"}, "no-rule", "a member", addLine, ""},
		{"Default", []string{"--port", "public", "DELETE", "/x"}, "no-rule", "exactly this request", addLine, ""},
		{"OPTIONS *", []string{"--cert", "alice.pem", "--port", "internal", "OPTIONS", "*"}, "no-rule", "exactly this request", addLine, ""},
		{"a denying rule", []string{"--cert", "bob.pem", "--port", "internal", "GET", "/orders/7"}, "denied", "or make it narrower", removeLine, ""},
		{"a mapping", []string{"--cert", "stranger.pem", "--port", "internal", "GET", "/whoami"}, "unmapped", "map the certificate to a user", command, ""},
		{"an anchor", []string{"--cert", "partner.pem", "--port", "internal", "GET", "/whoami"}, "unknown-authority", "to trust the issuer", func(t *testing.T, h hint) {
			swap(t, h, "anchors: [client-ca.pem]", strings.Replace(h.Write, "ISSUER.pem", "partner-ca.pem", 1))
		}, "unmapped"},
		{"a profile", []string{"--cert", "no-eku.pem", "--port", "internal", "GET", "/whoami"}, "wrong-usage", "profile compatible", func(t *testing.T, h hint) {
			swap(t, h, "anchors: [client-ca.pem]", "anchors: [client-ca.pem], "+h.Write)
		}, ""},
		{"a larger key", []string{"--cert", "rsa8192.pem", "--port", "internal", "GET", "/whoami"}, "weak-key", "8192 bits", func(t *testing.T, h hint) {
			swap(t, h, "anchors: [client-ca.pem]", "anchors: [client-ca.pem], "+h.Write)
		}, ""},
		{"strict", []string{"--port", "partner", "GET", "/whoami"}, "no-certificate", "the user Default", func(t *testing.T, h hint) {
			swap(t, h, "  - name: partner", "  - "+h.Write+"\n    name: partner")
		}, "no-rule"},
		{"a method", []string{"--cert", "alice.pem", "--port", "internal", "PROPFIND", "/orders/7"}, "ambiguous-path", "the methods of the port", func(t *testing.T, h hint) {
			swap(t, h, "  - name: internal", "  - "+h.Write+"\n    name: internal")
		}, "no-rule"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := writeSite(dir); err != nil {
				t.Fatal(err)
			}
			t.Chdir(dir)
			before := explainRequest(t, row.request)
			if string(before.Reason) != row.reason {
				t.Fatalf("the reason is %q before, want %q", before.Reason, row.reason)
			}
			done := false
			for _, h := range before.Hints {
				if strings.Contains(h.Text, row.find) {
					row.edit(t, h)
					done = true
					break
				}
			}
			if !done {
				t.Fatalf("no hint has %q: %+v", row.find, before.Hints)
			}
			if after := explainRequest(t, row.request); string(after.Reason) != row.after || after.Allowed != (row.after == "") {
				t.Errorf("the reason afterwards is %q %s, want %q", after.Reason, after.Detail, row.after)
			}
		})
	}
}

// answer is what the tests read of the JSON of explain.
type answer struct {
	Allowed bool          `json:"allowed"`
	Reason  reason.Reason `json:"reason"`
	Detail  string        `json:"detail"`
	User    string        `json:"user"`
	Hints   []hint        `json:"hints"`
}

func explainRequest(t *testing.T, request []string) answer {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), append([]string{"explain", "--json", "--config", "mtlsguard.yaml"}, request...), strings.NewReader(""), &out, &errs); code == exitInvalid {
		t.Fatalf("%s", errs.String())
	}
	var x answer
	if err := json.Unmarshal(out.Bytes(), &x); err != nil {
		t.Fatal(err)
	}
	return x
}

func addLine(t *testing.T, h hint) {
	t.Helper()
	put(t, h.File, read(t, h.File)+h.Write+"\n")
}

func removeLine(t *testing.T, h hint) {
	t.Helper()
	lines := strings.SplitAfter(read(t, h.File), "\n")
	lines[h.Line-1] = "\n"
	put(t, h.File, strings.Join(lines, ""))
}

func command(t *testing.T, h hint) {
	t.Helper()
	args := strings.Fields(strings.Replace(h.Command, "NAME", "someone", 1))
	var out, errs bytes.Buffer
	if code := run(t.Context(), args[1:], strings.NewReader(""), &out, &errs); code != exitYes {
		t.Fatalf("%s: %s", h.Command, errs.String())
	}
}

// swap replaces text at or after the line that a hint names.
func swap(t *testing.T, h hint, old, replacement string) {
	t.Helper()
	if filepath.Base(h.File) != "mtlsguard.yaml" || h.Line == 0 {
		t.Fatalf("the hint is about line %d of %s", h.Line, h.File)
	}
	lines := strings.SplitAfter(read(t, h.File), "\n")
	rest := strings.Join(lines[h.Line-1:], "")
	if at := strings.Index(rest, old); at < 0 || strings.Count(rest[:at], "\n") > 1 {
		t.Fatalf("line %d is not the line of %q", h.Line, old)
	}
	put(t, h.File, strings.Join(lines[:h.Line-1], "")+strings.Replace(rest, old, replacement, 1))
}
