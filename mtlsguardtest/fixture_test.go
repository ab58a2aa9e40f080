package mtlsguardtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
)

// whoami answers with the caller.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id, ok := identity.FromContext(r.Context())
	fmt.Fprintf(w, "%s %t %s %s %s", id.User, ok, strings.Join(id.Groups, ","), id.Port, r.Proto)
})

// get returns the status and the body of an answer, "403 reason" of a refusal, or "handshake".
func get(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return "handshake"
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	var refusal struct{ Reason string }
	if json.Unmarshal(body, &refusal) == nil {
		body = []byte(refusal.Reason)
	}
	return strings.TrimSpace(res.Status[:3] + " " + string(body))
}

// recorder is a test whose failures are expected. It is safe for concurrent use.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failures []string
	cleanups []func()
	out      bytes.Buffer
}

// record runs a test that may fail. Its cleanups have run when it returns.
func record(tb testing.TB, test func(testing.TB)) *recorder {
	r := &recorder{TB: tb}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		test(r)
	}()
	<-ended
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		last()
	}
	return r
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Output() io.Writer         { return r }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); runtime.Goexit() }

func (r *recorder) Errorf(f string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(f, a...))
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Write(p)
}

// text returns the failures.
func (r *recorder) text() string { return strings.Join(r.failures, "\n") }
