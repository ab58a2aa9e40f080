//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// restartConnections is the number of connections that the test of restarts makes.
const restartConnections = 400

// activated returns a site whose port internal listens on a socket of systemd.
func activated(t *testing.T) *site {
	s := newSite(t)
	text := s.get(config)
	s.put(config, strings.Replace(text[:strings.Index(text, "  - name: public")], "127.0.0.1:0", "systemd:internal", 1))
	s.sub(config, "handshake: 5s, drain: 1s", "handshake: 30s, drain: 1m") // on a busy machine too
	return s
}

// passing returns the command of a server to which this process passes a socket under a name.
func (s *site) passing(socket *os.File, name string) *exec.Cmd {
	// The process id is known to the shell alone, before it becomes the server.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, serverBinary(s), "-config", s.path(config))
	cmd.Env = []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=" + name, "PATH=" + os.Getenv("PATH")}
	cmd.ExtraFiles = []*os.File{socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// launch starts a server, and waits until it is ready.
func (s *site) launch(cmd *exec.Cmd) {
	s.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = cmd.Process.Kill() // an error: it has ended
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.Fatalf("the server printed %q, %v", line, err)
	}
}

// socketOf returns a listening socket without an accept loop, and its file.
func socketOf(t *testing.T) (net.Addr, *os.File) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return l.Addr(), f
}

// A restart under load loses no connection: the socket stays open in the process that passes it,
// the new server accepts while the old one finishes what it has begun, handshakes too.
// Covers N6.
//
// The server drops a client that sends nothing for a second. This process holds the clients: if it
// stood still that long, the test repeats the restarts, at most twice.
func TestRestartLosesNoConnection(t *testing.T) {
	t.Parallel()
	s := activated(t)
	for try := 1; ; try++ {
		failed, longest := restartUnderLoad(t, s)
		if failed == 0 {
			return
		}
		if longest <= 500*time.Millisecond || try == 3 {
			t.Fatalf("a restart has lost %d connections; this process stood still for %v at most", failed, longest)
		}
	}
}

// restartUnderLoad restarts a server twice. It returns how many connections were lost, and the
// longest time for which this process stood still.
func restartUnderLoad(t *testing.T, s *site) (lost int32, longest time.Duration) {
	t.Helper()
	addr, socket := socketOf(t)
	server := s.passing(socket, "internal")
	s.launch(server)
	var begun, failed atomic.Int32
	restarted, loaded := make(chan struct{}), make(chan struct{})
	stood := standstill(loaded)
	var load sync.WaitGroup
	for range 4 {
		c := s.client(s.alice, func(t *http.Transport) { t.DisableKeepAlives = true })
		c.Timeout = time.Minute
		load.Go(func() {
			for {
				select {
				case <-restarted:
					if begun.Load() >= restartConnections {
						return
					}
				default:
				}
				begun.Add(1)
				r, err := c.Get("https://" + addr.String() + "/whoami")
				if err != nil || r.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Logf("a connection: %v", err)
					return
				}
				r.Body.Close()
			}
		})
	}
	for range 2 {
		before := begun.Load()
		testkit.Eventually(t, "connections come", func() bool { return begun.Load() > before+20 || failed.Load() > 0 })
		next := s.passing(socket, "internal")
		s.launch(next)
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("the old server: %v", err)
		}
		server = next
	}
	close(restarted)
	load.Wait()
	close(loaded)
	t.Logf("%d of %d connections failed", failed.Load(), begun.Load())
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("the last server: %v", err)
	}
	return failed.Load(), <-stood
}

// standstill measures, until done is closed, the longest time for which this process did not run.
func standstill(done <-chan struct{}) <-chan time.Duration {
	out := make(chan time.Duration, 1)
	go func() {
		longest, last := time.Duration(0), time.Now()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				longest, last = max(longest, time.Since(last)), time.Now()
			case <-done:
				out <- longest
				return
			}
		}
	}()
	return out
}

// Without the socket that its file names a server does not start, and says why. lint and the
// load of the file need no socket.
// Covers N5.
func TestServerWithoutItsSocketDoesNotStart(t *testing.T) {
	t.Parallel()
	s := activated(t)
	_, socket := socketOf(t)
	connected, err := net.Dial("tcp", socketAddr(t, socket))
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	notListening, err := connected.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer notListening.Close()
	foreign := s.passing(socket, "internal")
	foreign.Args[2] = `LISTEN_PID=1 exec "$0" "$@"`
	without := exec.Command(serverBinary(s), "-config", s.path(config))
	for _, row := range []struct {
		name string
		cmd  *exec.Cmd
		want string
	}{
		{"no socket", without, "no socket is passed to this program: start it by a .socket unit"},
		{"another name", s.passing(socket, "public"), `no socket is named "internal", the names are "public": set FileDescriptorName=internal`},
		{"another process", foreign, `LISTEN_PID is "1", and this process is `},
		{"a connection", s.passing(notListening, "internal"), `the socket "internal" accepts no connections`},
	} {
		out, err := row.cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), row.want) {
			t.Errorf("%s: %v\n%s", row.name, err, out)
		}
	}
	if _, err := mtlsguard.Open(s.path(config), mtlsguard.Options{}); err != nil {
		t.Error(err)
	}
	if _, err := mtlsguard.Lint(s.path(config), mtlsguard.LintOptions{}); err != nil {
		t.Error(err)
	}
}

func socketAddr(t *testing.T, f *os.File) string {
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// systemd-socket-activate passes a socket as systemd does, and starts the server with the first
// connection.
// Covers N5.
func TestSocketOfSystemd(t *testing.T) {
	t.Parallel()
	s := activated(t)
	program := testkit.Program(t, "systemd-socket-activate", "systemd")
	s.sub(config, "systemd:internal", "systemd:orders.socket")
	addr := testkit.FreeAddress(t)
	cmd := exec.Command(program, "-l", addr, "--fdname=orders.socket", serverBinary(t), "-config", s.path(config))
	var printed testkit.Buffer
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // an error: it has ended
		_ = cmd.Wait()
	})
	testkit.Eventually(t, "systemd-socket-activate listens", func() bool { return strings.Contains(printed.String(), "Listening on") })
	c := s.client(s.alice)
	c.Timeout = testkit.Patience
	if got := get(c, "https://"+addr+"/whoami"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("got %s, want 200; the server printed %s", got, printed.String())
	}
	if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid)); err != nil || !strings.Contains(string(environ), "-config") {
		t.Errorf("%q, %v: systemd-socket-activate is not the server now", environ, err)
	}
}
