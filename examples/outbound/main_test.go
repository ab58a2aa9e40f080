package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// await waits until the program has written a text.
func await(t *testing.T, o *testkit.Buffer, text string) {
	t.Helper()
	for end := time.Now().Add(testkit.Patience); !strings.Contains(o.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %q in %q", text, o)
		}
	}
}

var free = []string{"-listen", "127.0.0.1:0", "-partner", "127.0.0.1:0"}

// Each printed curl line gives the expected answer.
func TestPrintedCurlLinesWork(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "curl", "curl")
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr testkit.Buffer
	status := make(chan int, 1)
	go func() { status <- run(ctx, free, &stdout, &stderr) }()
	await(t, &stdout, "\nready\n")
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "ready\n"), "\n")
	wants := []string{
		`{"as":"a","partner_saw":"alice"}`,
		`{"as":"b","partner_saw":"bob"}`,
		`{"as":"c","partner_saw":"carol"}`,
		`the server requires a certificate`,
		`the keystore does not know the alias`,
		`no identity was chosen`,
	}
	if len(lines) != len(wants)+1 {
		t.Fatalf("got %q", lines)
	}
	for range 2 {
		for i, want := range wants {
			out, err := exec.Command("sh", "-c", lines[i]).CombinedOutput()
			if err != nil || !strings.HasPrefix(lines[i], "curl ") || !strings.Contains(string(out), want) {
				t.Errorf("%s: %s, %v; want %s", lines[i], out, err, want)
			}
		}
	}
	if n := strings.Count(stderr.String(), `"sent":true`); n != 3 {
		t.Errorf("%d handshakes with a certificate, want one for each client:\n%s", n, &stderr)
	}
	cancel()
	if got := <-status; got != exitOK {
		t.Errorf("status %d: %s", got, &stderr)
	}
}

func TestMain(m *testing.M) { testkit.Main(m, main) }

// Signals end the program with status 0.
func TestSignalsEndTheProgramWithStatus0(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		var stdout testkit.Buffer
		cmd := testkit.Command(t, free...)
		cmd.Stdout = &stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, &stdout, "\nready\n")
		cmd.Process.Signal(signal)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
	}
}

// An error ends the program with a message and a status.
func TestErrorsEndTheProgramWithAHint(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, row := range []struct {
		arguments []string
		status    int
	}{
		{[]string{"-listen", busy.Addr().String(), "-partner", "127.0.0.1:0"}, exitFailed},
		{[]string{"-listen", "127.0.0.1:0", "-partner", busy.Addr().String()}, exitFailed},
		{[]string{"-listen", "127.0.0.1:0", "-partner", "nonsense"}, exitFailed},
		{[]string{"a"}, exitInvalid},
		{[]string{"-x"}, exitInvalid},
		{[]string{"-h"}, exitOK},
	} {
		var stdout, stderr testkit.Buffer
		if got := run(t.Context(), row.arguments, &stdout, &stderr); got != row.status || stdout.String() != "" || stderr.String() == "" {
			t.Errorf("%q: status %d, %q, %q", row.arguments, got, &stdout, &stderr)
		}
	}
}
