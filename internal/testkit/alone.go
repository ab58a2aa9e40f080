package testkit

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// aloneEnv is the environment variable of a process that Alone starts. It has the name of its test.
const aloneEnv = "MTLSGUARD_TEST_ALONE"

// Alone runs a test that measures its process, such as its memory or its goroutines, in a process of
// its own, beside the parallel tests of this one. It returns true when the test has run there:
//
//	if testkit.Alone(t) {
//		return
//	}
//
// The process gets the flags of the package, and of go test -short alone.
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		return false
	}
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arguments := []string{"-test.run=^" + t.Name() + "$", "-test.v"}
	if end, ok := t.Deadline(); ok {
		arguments = append(arguments, "-test.timeout="+time.Until(end).String())
	}
	if testing.Short() {
		arguments = append(arguments, "-test.short")
	}
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") {
			arguments = append(arguments, "-"+f.Name+"="+f.Value.String())
		}
	})
	cmd := exec.CommandContext(t.Context(), binary, arguments...)
	cmd.Env = append(os.Environ(), aloneEnv+"="+t.Name())
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil && strings.Contains(text, "--- PASS: "+t.Name()+" "):
		t.Log(text)
	case err == nil && strings.Contains(text, "--- SKIP: "+t.Name()+" "):
		t.Skip(text)
	default:
		t.Errorf("in a process of its own: %v\n%s", err, text)
	}
	return true
}
