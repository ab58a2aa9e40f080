package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// build links a program into the file path. It uses go run, because the build cache keeps what go run
// links: the next run of the tests only copies it. go build links every time, for seconds.
func build(path, program string, flags ...string) error {
	arguments := slices.Concat([]string{"run", "-exec", "cp"}, flags, []string{program, path})
	out, err := exec.Command("go", arguments...).CombinedOutput()
	if err != nil {
		return errors.New(string(out))
	}
	return nil
}

// built returns a function that builds a program once and returns its path.
func built(name, program string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		path := filepath.Join(binaries, name)
		return path, build(path, program)
	})
}

var (
	builtServer  = built("server", "../examples/server")
	builtCommand = built("mtlsguard", "../cmd/mtlsguard")
)

// serverBinary returns the path of the example server.
func serverBinary(tb testing.TB) string { return mustBuild(tb, builtServer) }

// commandBinary returns the path of the command mtlsguard.
func commandBinary(tb testing.TB) string { return mustBuild(tb, builtCommand) }

func mustBuild(tb testing.TB, program func() (string, error)) string {
	tb.Helper()
	path, err := program()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
