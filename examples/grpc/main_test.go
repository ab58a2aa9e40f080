package main

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// first is a writer that is done after its first line.
type first struct {
	mu   sync.Mutex
	text strings.Builder
	done context.CancelFunc
}

func (f *first) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.done()
	return f.text.Write(p)
}

func TestBothWaysServe(t *testing.T) {
	for _, mode := range []string{"handler", "transport"} {
		t.Run(mode, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			addr := make(chan string, 1)
			options := mtlsguard.Options{Listen: func(context.Context, string, string) (net.Listener, error) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err == nil {
					addr <- l.Addr().String()
				}
				return l, err
			}}
			ended := make(chan error, 1)
			go func() { ended <- run(ctx, []string{mode}, options, nil) }()
			var at string
			select {
			case at = <-addr:
			case err := <-ended:
				t.Fatal(err)
			}
			for _, row := range []struct{ user, method, answer, err string }{
				{"alice", "Check", "SERVING", ""}, {"alice", "Watch", "SERVING", "canceled"}, {"bob", "Check", "SERVING", ""},
				{"bob", "Watch", "", "code = PermissionDenied desc = Not allowed (no-rule, reference "},
			} {
				ctx, done := context.WithCancel(t.Context())
				out := &first{done: done}
				err := call(ctx, at, row.user, row.method, out)
				done()
				if got := strings.TrimSpace(out.text.String()); got != row.answer || err != nil && row.err == "" && row.answer == "" {
					t.Errorf("%s %s: got %q %v, want %v", row.user, row.method, got, err, row.answer)
				}
				if row.err != "" && (err == nil || !strings.Contains(err.Error(), row.err)) {
					t.Errorf("%s %s: %v, want %s", row.user, row.method, err, row.err)
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
