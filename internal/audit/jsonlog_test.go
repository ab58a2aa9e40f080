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
)

var writtenAt = regexp.MustCompile(`^\{"time":"[^"]*",`)

// logged returns the line that a log writes for a decision, without its time.
func logged(t *testing.T, open func(*bytes.Buffer) *slog.Logger, req *http.Request, o middleware.Outcome) string {
	t.Helper()
	var out bytes.Buffer
	e := New(open(&out), new(atomic.Uint64))
	e.LogDecision(req, &o, nil)
	if !e.backlog.Wait(5 * time.Second) {
		t.Fatal("the log wrote nothing")
	}
	line := out.String()
	if !writtenAt.MatchString(line) {
		t.Fatalf("no time: %s", line)
	}
	return writtenAt.ReplaceAllString(line, "{")
}

func newJSONLog(out *bytes.Buffer) *slog.Logger { return JSONLog(out, nil) }

func newSlogLog(out *bytes.Buffer) *slog.Logger { return slog.New(slog.NewJSONHandler(out, nil)) }

// JSONLog writes what slog writes, byte for byte, for any text in a request.
// Covers L7.
func FuzzJSONLogWritesWhatSlogWrites(f *testing.F) {
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
			o.Reason, o.Reference = reason.NoRule, "1f"
		}
		if got, want := logged(t, newJSONLog, req, o), logged(t, newSlogLog, req, o); got != want {
			t.Errorf("JSONLog %sslog    %s", got, want)
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

// BenchmarkDecisionLine measures the line of a decision, and the same through slog.
func BenchmarkDecisionLine(b *testing.B) {
	for _, log := range []struct {
		name string
		open func() *slog.Logger
	}{
		{"JSONLog", func() *slog.Logger { return JSONLog(discard{}, nil) }},
		{"slog", func() *slog.Logger { return slog.New(slog.NewJSONHandler(discard{}, nil)) }},
	} {
		b.Run(log.name, func(b *testing.B) {
			e := New(log.open(), new(atomic.Uint64))
			req := &http.Request{RemoteAddr: "192.0.2.1:50123"}
			o := middleware.Outcome{Allowed: true, Method: "GET", Path: "/orders/7", Port: "internal", Rule: policy.Position{File: "policy.csv", Line: 7}, Identity: &identity.Identity{User: "alice", MappingID: "alice"}}
			b.ReportAllocs()
			for b.Loop() {
				e.LogDecision(req, &o, nil)
			}
			e.Flush()
		})
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
