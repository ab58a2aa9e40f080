package certmap

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/trust"
)

// lineReader returns a reader that collects mappings.
func lineReader() (*reader, *collector) {
	s := newSettings()
	WithPorts("p", "q")(s)
	WithIssuers(func(path string) (trust.Digest, error) {
		if path == "no.pem" {
			return trust.Digest{}, errors.New("missing")
		}
		return trust.Digest{1}, nil
	})(s)
	c := &collector{pager: newPager("users.jsonl")}
	return s.reader("users.jsonl", &c.report, c), c
}

// comparePlainLine reads one line in both ways, and reports whether it is a plain one.
func comparePlainLine(t *testing.T, line []byte) bool {
	t.Helper()
	l, got := lineReader()
	plain := l.readPlainLine(line, 7)
	if !plain {
		if len(got.pager.pages) != 0 || got.report.Len() != 0 {
			t.Fatalf("%q is not plain, and something was done", line)
		}
		return false
	}
	l, want := lineReader()
	node, err := readLine(line, 7)
	if err != nil {
		t.Fatalf("%q is plain, and not a mapping: %v", line, err)
	}
	l.readMapping(1, node)
	if want.report.Len() > 0 {
		t.Fatalf("%q is plain, and has an error: %v", line, want.report.err())
	}
	a, b := got.pager.open.entry(0), want.pager.open.entry(0)
	if fmt.Sprintf("%+v", a.mapping()) != fmt.Sprintf("%+v", b.mapping()) || a.text != b.text || a.kind != b.kind || a.idLen != b.idLen || a.keyLen != b.keyLen {
		t.Fatalf("%q is read as\n%+v\n, want\n%+v", line, a.mapping(), b.mapping())
	}
	return true
}

// plainLines are lines, and whether they are plain.
var plainLines = map[string]bool{
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem"}`:                                              true,
	`{"id":"a","user":"alice","uri":"spiffe://a/b","issuer":"ca.pem","ports":["p","q"],"disabled":false}`:               true,
	`{ "id" : "a" , "user" : "{user}" , "subject" : "CN={user},O=Älg" , "issuer" : "ca.pem" , "ports" : [ "q" ] }`:      true,
	`{"id": "a", "user": "alice", "serial": "10:00", "issuer": "ca.pem", "not_before": "2026-01-01", "disabled": true}`: true,
	`{"id": "a", "user": "alice", "serial": 1000, "issuer": "ca.pem"}`:                                                  false, // a number
	`{"id": "\u0061", "user": "alice", "dns": "a.example", "issuer": "ca.pem"}`:                                         false, // an escape
	`{"id": "a", "id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem"}`:                                   false, // a key twice
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "no.pem"}`:                                              false, // and all below have an error
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem", "ports": []}`:                                 false,
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem", "ports": ["r"]}`:                              false,
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem", "disabled": truee}`:                           false,
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem"} x`:                                            false,
	`{"id": "a", "user": "alice", "dns": "a.example", "issuer": "ca.pem",}`:                                             false,
	`{"id": "a", "user": "alice", "dns": "a.example"}`:                                                                  false,
	`{"id": "", "user": "alice", "dns": "a.example", "issuer": "ca.pem"}`:                                               false,
	`{"user": "alice", "dns": "a.example", "issuer": "ca.pem"}`:                                                         false,
	"{\"id\": \"a\xff\", \"user\": \"alice\", \"dns\": \"a.example\", \"issuer\": \"ca.pem\"}":                          false,
	`{}`: false, `{"`: false, `[`: false, `{"id"`: false,
}

// The fast reader of plain lines returns what the full reader returns, and no line with an error is
// plain.
func TestPlainLinesAreReadAsAllOthers(t *testing.T) {
	t.Parallel()
	for line, want := range plainLines {
		if comparePlainLine(t, []byte(line)) != want {
			t.Errorf("%s: plain is %t", line, !want)
		}
		compareCheck(t, []byte(line))
	}
}

// compareCheck checks one line by itself, and in a load.
func compareCheck(t *testing.T, line []byte) {
	t.Helper()
	_, want := Load("users.jsonl", bytes.NewReader(line), WithIssuers(func(string) (trust.Digest, error) { return trust.Digest{1}, nil }))
	if got := checkLine("users.jsonl", line); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q: the check reports\n%v\nand a load\n%v", line, got, want)
	}
}

func FuzzPlainLine(f *testing.F) {
	for line := range plainLines {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if line = bytes.TrimSpace(line); len(line) > 0 && bytes.IndexByte(line, '\n') < 0 {
			comparePlainLine(t, line)
			compareCheck(t, line)
		}
	})
}
