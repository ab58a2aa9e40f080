package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// runCommand is the environment variable of a process that Command starts.
const runCommand = "MTLSGUARD_TEST_COMMAND"

// Main runs the tests of a command's package, for TestMain. In a process that Command started
// it runs the command instead. Linking the command for each test would take seconds.
func Main(m *testing.M, main func()) {
	if os.Getenv(runCommand) == "1" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Command returns the command under test as a process of its own. The package needs Main.
func Command(tb testing.TB, arguments ...string) *exec.Cmd {
	tb.Helper()
	binary, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(binary, arguments...)
	cmd.Env = append(os.Environ(), runCommand+"=1")
	return cmd
}
