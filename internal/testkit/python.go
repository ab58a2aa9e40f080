package testkit

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Python returns the path of the Python interpreter. Where python3 is the script of a version
// manager, that script would look for the interpreter on each call, longer than most programs run.
func Python(tb testing.TB) string {
	tb.Helper()
	found := Program(tb, "python3", "python3")
	path, err := interpreter(found)
	if err != nil {
		tb.Fatalf("%s: %v", found, err)
	}
	return path
}

var interpreters sync.Map // of func() (string, error), by the path of python3

func interpreter(python string) (string, error) {
	ask := sync.OnceValues(func() (string, error) {
		out, err := exec.Command(python, "-c", "import sys; print(sys.executable)").Output()
		return strings.TrimSpace(string(out)), err
	})
	first, _ := interpreters.LoadOrStore(python, ask)
	return first.(func() (string, error))()
}
