package audit

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
)

var writtenAt = regexp.MustCompile(`^\{"time":"[^"]*",`)

// logged returns the lines that a log writes for a decision, and for an event with its texts,
// without their times.
func logged(t *testing.T, open func(*bytes.Buffer) *slog.Logger, req *http.Request, o middleware.Outcome) string {
	t.Helper()
	var out bytes.Buffer
	e := New(open(&out), new(atomic.Uint64))
	e.SetStale(o.Allowed)
	e.LogDecision(req, &o, nil)
	e.LogTunnel(o.Path, reverse.Event{Kind: reverse.Unavailable, Remote: req.RemoteAddr, Err: errors.New(o.Detail)})
	if !e.backlog.Wait(5 * time.Second) {
		t.Fatal("the log wrote nothing")
	}
	var all strings.Builder
	for line := range strings.Lines(out.String()) {
		if !writtenAt.MatchString(line) {
			t.Fatalf("no time: %s", line)
		}
		all.WriteString(writtenAt.ReplaceAllString(line, "{"))
	}
	return all.String()
}

func newJSONLog(out *bytes.Buffer) *slog.Logger { return JSONLog(out, nil) }

func newSlogLog(out *bytes.Buffer) *slog.Logger { return slog.New(slog.NewJSONHandler(out, nil)) }

// JSONLog writes what slog writes, byte for byte, for any text in a request.
// Covers L7.
func FuzzJSONLogWritesWhatSlogWrites(f *testing.F) {
	gateway := verifiedLeaf(f)
	for _, path := range []string{"/orders/7", `/a"b\c`, "/\u2028\u202e", "/\xff\x00", "\b\f\n\r\t\v\x7f\ufffd\u2029", "/<script>&", strings.Repeat("/é", 400)} {
		f.Add(path, path, "192.0.2.1:5", "", true, int64(250))
	}
	f.Fuzz(func(t *testing.T, path, user, remote, detail string, allowed bool, took int64) {
		req := &http.Request{RemoteAddr: remote}
		o := middleware.Outcome{
			Allowed: allowed, Method: "GET", Path: path, Port: "internal", Rule: policy.Position{File: "policy.csv", Line: 7}, Detail: detail, Generation: 3,
			Duration: time.Duration(max(took, 0)), Identity: &identity.Identity{User: user, MappingID: "m", Via: identity.TLS},
		}
		if !allowed {
			o.Reason, o.Reference, o.Gateway = reason.NoRule, "1f", gateway
			o.Rule = policy.Position{File: path, Line: int(took % 9), Number: int(took % 7), Text: detail}
		}
		if got, want := logged(t, newJSONLog, req, o), logged(t, newSlogLog, req, o); got != want {
			t.Errorf("JSONLog %sslog    %s", got, want)
		}
	})
}

// A time of a line is what the time package, and so slog, makes of it.
func FuzzTimeIsThatOfThePackage(f *testing.F) {
	for _, nanos := range []int64{0, 1, 100, 999_999_999, 1_000_000_000, 1_764_379_656_120_000_000, -1} {
		f.Add(nanos, 0)
		f.Add(nanos, 3600)
		f.Add(nanos, -12_600)
	}
	f.Fuzz(func(t *testing.T, nanos int64, offset int) {
		at := time.Unix(0, nanos).UTC()
		if offset != 0 {
			at = at.In(time.FixedZone("", offset%86_400))
		}
		for range 2 { // the second time from the cached second
			if got, want := string(appendTime(nil, at)), at.Format(time.RFC3339Nano); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Lines of decisions and other records keep their order. A log that fails or panics does not
// block later lines.
// Covers L9.
func TestLinesAndRecordsKeepTheirOrder(t *testing.T) {
	var out bytes.Buffer
	e := New(JSONLog(&out, nil), new(atomic.Uint64))
	for range 50 {
		e.LogDecision(&http.Request{}, &middleware.Outcome{Allowed: true, Identity: &identity.Identity{User: "alice"}}, nil)
		e.LogEvent("reload", "configuration in effect", "ok")
	}
	e.Flush()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 100 {
		t.Fatalf("%d lines, want 100", len(lines))
	}
	for i, line := range lines {
		if want := []string{`"event":"decision"`, `"event":"reload"`}[i%2]; !strings.Contains(line, want) {
			t.Fatalf("line %d is %s", i+1, line)
		}
	}
	for _, w := range []failing{{}, {panics: true}} {
		e = New(JSONLog(w, nil), new(atomic.Uint64))
		for range 3 {
			e.LogDecision(&http.Request{}, &middleware.Outcome{Allowed: true, Identity: &identity.Identity{User: "alice"}}, nil)
			if !e.backlog.Wait(5 * time.Second) {
				t.Fatal("a failing log blocks later lines")
			}
		}
	}
}

type failing struct{ panics bool }

func (f failing) Write([]byte) (int, error) {
	if f.panics {
		panic("the log")
	}
	return 0, errors.New("no space")
}

// A logger derived from JSONLog by With writes the attributes that were added.
func TestJSONLogWith(t *testing.T) {
	var out bytes.Buffer
	e := New(JSONLog(&out, nil).With("service", "orders"), new(atomic.Uint64))
	e.LogDecision(&http.Request{}, &middleware.Outcome{Allowed: true, Identity: &identity.Identity{User: "alice"}}, nil)
	e.Flush()
	if !strings.Contains(out.String(), `"service":"orders"`) || !strings.Contains(out.String(), `"user":"alice"`) {
		t.Errorf("wrote %s", out.String())
	}
}
