package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, main) }

// process is one of the two commands.
type process struct {
	*exec.Cmd
	stdout, stderr testkit.Buffer
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: testkit.Command(t, args...)}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
		if t.Failed() {
			t.Logf("%q:\n%s%s", args, &p.stdout, &p.stderr)
		}
	})
	return p
}

func (p *process) ready(t *testing.T) *process {
	t.Helper()
	testkit.Eventually(t, "ready", func() bool { return strings.HasSuffix(p.stdout.String(), "ready\n") })
	return p
}

// kill is kill -9.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.Wait()
}

// site is the two commands' addresses.
type site struct{ external, registrations string }

func newSite(t *testing.T) *site {
	t.Helper()
	testkit.Program(t, "curl", "curl")
	return &site{external: testkit.FreeAddress(t), registrations: testkit.FreeAddress(t)}
}

func (s *site) gateway(t *testing.T) *process {
	t.Helper()
	return start(t, "gateway", "-external", s.external, "-registrations", s.registrations)
}

func (s *site) internal(t *testing.T) *process {
	t.Helper()
	return start(t, "internal", "-registrations", s.registrations)
}

// curl runs a line from the root of the repository.
func curl(t *testing.T, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out) + err.Error()
	}
	return string(out)
}

// lines returns the lines that a gateway prints: for alice, for an unmapped certificate, and
// without a certificate.
func (p *process) lines(t *testing.T) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(p.stdout.String(), "\nready\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("got %q", lines)
	}
	return lines
}

var wants = []string{
	`{"user":"alice","groups":["Authenticated","Everybody","staff"],"port":"tunnel","via":"tunnel","mapping":"staff","path":"/orders/7",`,
	`"status":403,"reason":"unmapped"`,
	`"status":403,"reason":"no-certificate"`,
}

// The printed curl lines work unchanged, and with forged headers.
// Covers K1, K6.
func TestPrintedCurlLinesWork(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gateway := s.gateway(t).ready(t)
	internal := s.internal(t).ready(t)
	const forged = ` -H 'X-Mtls-Caller: certificate' -H 'Client-Cert: :AAAA:' -H 'X-Forwarded-User: alice' -H 'X-SSL-Client-Cert: x' -H 'Connection: Client-Cert, X-Mtls-Caller'`
	for i, line := range gateway.lines(t) {
		for _, more := range []string{"", forged, " --http1.1", " --http1.1" + forged, " --tls-max 1.2"} {
			if out := curl(t, line+more); !strings.HasPrefix(line, "curl ") || !strings.Contains(out, wants[i]) {
				t.Errorf("%s%s: %s; want %s", line, more, out, wants[i])
			}
		}
	}
	if alice := curl(t, gateway.lines(t)[0]); !strings.Contains(alice, `"client":"127.0.0.1:`) || !strings.Contains(alice, `"gateway":"gateway.acme.example"`) {
		t.Error(alice)
	}
	untrusted := strings.ReplaceAll(gateway.lines(t)[0], "alice", "untrusted")
	if out := curl(t, untrusted); !strings.Contains(out, "exit status") {
		t.Errorf("%s: got %s, want exit status", untrusted, out)
	}
	for _, p := range []*process{internal, gateway} {
		p.Process.Signal(syscall.SIGTERM)
		if err := p.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// Either side is killed and replaced, and the other side keeps running.
func TestEitherSideMayBeKilledAndRestarted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	gateway := s.gateway(t).ready(t)
	internal := s.internal(t).ready(t)
	line := gateway.lines(t)[0]
	works := func(when string) {
		t.Helper()
		testkit.Eventually(t, when, func() bool { return strings.Contains(curl(t, line+" --max-time 10"), wants[0]) })
		for i, line := range gateway.lines(t) {
			if out := curl(t, line); !strings.Contains(out, wants[i]) {
				t.Errorf("%s: got %s: %s", when, line, out)
			}
		}
	}
	works("at first")
	internal.kill(t)
	if out := curl(t, line+" --max-time 1"); strings.Contains(out, wants[0]) { // the gateway answers 503 after 5 s
		t.Errorf("answered without a server: %s", out)
	}
	again := s.internal(t).ready(t)
	works("another server")
	gateway.kill(t)
	if out := curl(t, line+" --max-time 20"); !strings.Contains(out, "exit status") {
		t.Errorf("answered without a gateway: %s", out)
	}
	gateway = s.gateway(t).ready(t)
	works("another gateway")
	for name, p := range map[string]*process{"gateway": gateway, "server": again} {
		if err := p.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.Process.Signal(os.Interrupt)
		if err := p.Wait(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The server may start before the gateway.
func TestServerMayStartFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	internal := s.internal(t)
	testkit.Eventually(t, "an attempt", func() bool { return strings.Contains(internal.stderr.String(), `"event":"handshake"`) })
	if out := internal.stdout.String(); out != "" {
		t.Errorf("%q without a gateway", out)
	}
	gateway := s.gateway(t).ready(t)
	internal.ready(t)
	if out := curl(t, gateway.lines(t)[0]); !strings.Contains(out, wants[0]) {
		t.Error(out)
	}
}

func TestErrorsEndWithAHint(t *testing.T) {
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
		{nil, usageError},
		{[]string{"both"}, usageError},
		{[]string{"gateway", "more"}, usageError},
		{[]string{"internal", "-external", "x"}, usageError},
		{[]string{"internal", "-registrations", "nonsense"}, failed},
		{[]string{"gateway", "-external", busy.Addr().String(), "-registrations", "127.0.0.1:0"}, failed},
		{[]string{"gateway", "-external", "127.0.0.1:0", "-registrations", busy.Addr().String()}, failed},
		{[]string{"gateway", "-h"}, ok},
	} {
		var stdout, stderr testkit.Buffer
		if got := run(t.Context(), row.arguments, &stdout, &stderr); got != row.status || stdout.String() != "" || stderr.String() == "" {
			t.Errorf("%q: status %d, %q, %q", row.arguments, got, &stdout, &stderr)
		}
	}
}
