package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// log --follow prints each refusal of a running server once, in order, while the log is
// truncated and rotated, and ends with status 0.
func TestFollowedLogGoesOnAfterRotation(t *testing.T) {
	site := serveLogged(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs testkit.Buffer
	first := site.request("internal", "bob", "GET", "/orders/0")
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"log", "server.log", "--refused", "--follow"}, strings.NewReader(""), &out, &errs)
	}()
	want := []string{first}
	see := func(what string) {
		t.Helper()
		testkit.Eventually(t, what, func() bool { return strings.Count(out.String(), "\n") == len(want) })
		for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			if !strings.HasSuffix(line, "reference="+want[i]) {
				t.Fatalf("%s: line %d is %q, want reference %s", what, i, line, want[i])
			}
		}
	}
	more := func(path string) { want = append(want, site.request("internal", "bob", "GET", path)) }
	see("the line that was there")
	more("/orders/1")
	see("a new line")
	if err := os.Truncate("server.log", 0); err != nil {
		t.Fatal(err)
	}
	more("/orders/2")
	see("a line after the file was truncated")
	if err := os.Rename("server.log", "server.log.1"); err != nil {
		t.Fatal(err)
	}
	more("/orders/3")
	see("a line after the file was replaced")
	// The old file ends within a line, and the new one is not mixed with it.
	if _, err := appender("server.log").Write([]byte(`{"time":"2026-01-31T08:00:00Z","event":"deci`)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename("server.log", "server.log.2"); err != nil {
		t.Fatal(err)
	}
	more("/orders/4")
	more("/orders/5")
	see("lines after the file was replaced within a line")
	stop()
	select {
	case code := <-ended:
		if code != exitYes || errs.String() != "" {
			t.Errorf("status %d, %s", code, errs.String())
		}
	case <-time.After(testkit.Patience):
		t.Fatal("the command does not end")
	}
	if !strings.HasSuffix(out.String(), "\n\n6 lines\n  6  decision refuse denied\n1 line skipped: not JSON\n") {
		t.Errorf("the end is\n%s", out.String())
	}
}

// A command that reads a pipe ends when it is interrupted, also while the pipe is silent.
func TestInterruptEndsTheReadingOfAPipe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"log", "-"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		ctx, stop := context.WithCancel(t.Context())
		var out, errs testkit.Buffer
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, args, r, &out, &errs) }()
		if _, err := w.WriteString(`{"event":"decision","outcome":"allow","user":"alice"}` + "\n"); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, "the line is printed", func() bool { return strings.Contains(out.String(), "user=alice") })
		stop()
		select {
		case <-ended:
		case <-time.After(testkit.Patience):
			t.Fatalf("%s does not end", args)
		}
	}
}
