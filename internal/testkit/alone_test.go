package testkit_test

import (
	"flag"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

var starter = flag.Int("starter", 0, "the process that starts another for a test")

// A test runs in another process, with the flags of the package.
func TestAloneIsAnotherProcess(t *testing.T) {
	if *starter == 0 {
		_ = flag.Set("starter", strconv.Itoa(os.Getpid()))
	}
	if testkit.Alone(t) {
		return
	}
	if *starter != os.Getppid() {
		t.Errorf("the flag says that process %d has started this one, but it is %d", *starter, os.Getppid())
	}
}

// A test that fails in the other process fails, and its text is in the output.
func TestAloneReportsAFailure(t *testing.T) {
	const env = "MTLSGUARD_TEST_ALONE_FAILS"
	if os.Getenv(env) == "1" {
		if !testkit.Alone(t) {
			t.Error("as it should")
		}
		return
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), env+"=1")
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "as it should") {
		t.Errorf("got %v, %s; want a failure", err, out)
	}
}
