package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, main) }

// process runs the server as a process of its own, which can receive signals.
func (s *site) process(arguments ...string) *exec.Cmd {
	s.Helper()
	cmd := testkit.Command(s, append([]string{"-config", s.config()}, arguments...)...)
	cmd.Stdout, cmd.Stderr = s.stdout, s.stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { cmd.Process.Kill() })
	testkit.Eventually(s, "ready", func() bool { return s.stdout.String() == "ready\n" })
	return cmd
}

// SIGHUP reloads even with reload: 0. SIGINT and SIGTERM end the program with status 0
// within the drain time, with open connections.
func TestSIGHUPReloadsAndSIGTERMEndsWithStatus0(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files(plainUsers, plainPolicy, s.port("internal", "require", "limits: {drain: 1s}"))
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		s.stdout, s.stderr = &testkit.Buffer{}, &testkit.Buffer{}
		s.put("users.yaml", plainUsers)
		cmd := s.process()
		alice := s.client(s.ca.Leaf("alice"))
		if got := s.request(alice, "GET", "internal", "/x").short(); got != "200 alice" {
			t.Fatal(got)
		}
		s.put("users.yaml", strings.Replace(plainUsers, "user: alice", "user: alicia", 1))
		cmd.Process.Signal(syscall.SIGHUP)
		testkit.Eventually(t, "SIGHUP reloads", func() bool { return s.request(alice, "GET", "internal", "/x").short() == "403 no-rule" })
		s.put("users.yaml", "garbage")
		cmd.Process.Signal(syscall.SIGHUP)
		testkit.Eventually(t, "a WARN names the file", func() bool {
			return len(s.log("level", "WARN", "event", "reload", "outcome", "failed", "file", filepath.Join(s.dir, "users.yaml"))) > 0
		})
		start := time.Now()
		cmd.Process.Signal(signal)
		err := cmd.Wait()
		if took := time.Since(start); err != nil || took > 7*time.Second { // the default of drain is 8 s
			t.Errorf("%s: ended after %s with %v", signal, took, err)
		}
		if len(s.log("event", "drain")) != 1 || s.stdout.String() != "ready\n" {
			t.Errorf("%s: got %s%s", signal, s.stdout, s.stderr)
		}
	}
}

// With -status, the server answers on a socket, and a killed server's socket is no obstacle to
// the next one.
func TestStatusSocketOutlivesNoServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files(plainUsers, plainPolicy, s.port("internal", "require", "limits: {drain: 1s}"))
	socket := filepath.Join(s.dir, "status.sock")
	for _, signal := range []os.Signal{os.Kill, syscall.SIGTERM} {
		s.stdout, s.stderr = &testkit.Buffer{}, &testkit.Buffer{}
		cmd := s.process("-status", socket)
		if r, err := statussocket.Read(socket); err != nil || !r.Ready || r.PID != cmd.Process.Pid {
			t.Errorf("got %+v, %v", r, err)
		}
		cmd.Process.Signal(signal)
		cmd.Wait()
		if _, err := os.Lstat(socket); (err == nil) != (signal == os.Kill) {
			t.Errorf("after %s: %v", signal, err)
		}
	}
}

// An error ends the program with a line "error: …" and a line "hint: …".
func TestErrorsEndTheProgramWithAHint(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.files(plainUsers, plainPolicy, s.port("internal", "require"))
	s.start()
	for _, row := range []struct {
		name      string
		arguments []string
		status    int
	}{
		{"the address is in use", []string{"-config", s.config()}, exitFailed},
		{"no such file", []string{"-config", filepath.Join(s.dir, "lost.yaml")}, exitInvalid},
		{"no name", []string{"-config", ""}, exitInvalid},
		{"an argument", []string{"mtlsguard.yaml"}, exitInvalid},
		{"no socket", []string{"-config", s.config(), "-status", ""}, exitInvalid},
		{"a file in the place of the socket", []string{"-config", s.config(), "-status", s.config()}, exitFailed},
	} {
		var stdout, stderr testkit.Buffer
		if status := run(t.Context(), row.arguments, &stdout, &stderr); status != row.status || stdout.String() != "" ||
			!strings.HasPrefix(stderr.String(), "error: ") || !strings.Contains(stderr.String(), "\nhint: ") {
			t.Errorf("%s: status %d, %q, %q", row.name, status, &stdout, &stderr)
		}
	}
}
