package e2e

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// startExample runs the example server with a site's configuration until the test ends.
func (s *site) startExample() *exec.Cmd {
	s.Helper()
	cmd := exec.Command(serverBinary(s), "-config", s.path(config))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if s.Failed() {
			s.Log(stderr.String())
		}
	})
	guard := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
	defer guard.Stop()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if lines.Text() == "ready" {
			return cmd
		}
	}
	s.Fatal("the server ended before it was ready")
	return nil
}

// The example server runs either role, by its configuration alone.
func TestReverseSampleServer(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	external := testkit.FreeAddress(t)
	d.registrations = testkit.FreeAddress(t)
	d.sub(config, "listen: 127.0.0.1:0", "listen: "+external)
	d.sub(config, "listen: 127.0.0.1:0", "listen: "+d.registrations)
	outer := d.startExample()
	s := d.inside()
	s.sub(config, "name: tunnel", "name: internal")
	s.put("policy.csv", strings.ReplaceAll(insidePolicy, "tunnel", "internal"))
	inner := s.startExample()
	url := "https://" + external
	if got := get(d.client(d.alice), url+"/whoami"); !strings.HasPrefix(got, `200 {"user":"alice",`) || !strings.Contains(got, `"port":"internal"`) || !strings.Contains(got, `"via":"tunnel"`) {
		t.Error(got)
	}
	if got := get(d.client(d.ca.Leaf("stranger")), url+"/whoami"); got != "403 unmapped" {
		t.Error(got)
	}
	if got := get(d.client(nil), url+"/whoami"); got != "403 no-certificate" {
		t.Error(got)
	}
	for _, cmd := range []*exec.Cmd{inner, outer} {
		cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
