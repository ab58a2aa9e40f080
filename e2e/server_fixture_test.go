package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// live is the running server of a site.
type live struct {
	*site
	server *mtlsguard.Server
	log    *lines
	stop   context.CancelFunc
	ended  chan error
}

func (s *site) start(options mtlsguard.Options) *live {
	s.Helper()
	return s.startWith(options, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
		return mtlsguard.Open(s.path("mtlsguard.yaml"), o)
	})
}

func (s *site) startWith(options mtlsguard.Options, open func(mtlsguard.Options) (*mtlsguard.Server, error)) *live {
	s.Helper()
	l := &live{site: s, log: &lines{}, ended: make(chan error, 1)}
	if options.Log == nil {
		options.Log = mtlsguard.JSONLog(l.log, slog.LevelDebug)
	}
	ready := make(chan struct{})
	options.Ready = func() { close(ready) }
	server, err := open(options)
	if err != nil {
		s.Fatal(err)
	}
	l.server = server
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	go func() { l.ended <- server.Serve(ctx, s.handler) }()
	select {
	case <-ready:
	case err := <-l.ended:
		s.Fatal(err)
	}
	s.Cleanup(func() {
		cancel()
		select {
		case <-l.ended:
		case <-time.After(testkit.Patience):
			s.Error("the server does not end")
		}
	})
	return l
}

// end stops the server and waits until it has ended.
func (l *live) end() {
	l.Helper()
	l.stop()
	select {
	case err := <-l.ended:
		l.ended <- err // for the cleanup
		if err != nil {
			l.Error(err)
		}
	case <-time.After(testkit.Patience):
		l.Fatal("the server does not end")
	}
}

func whoami(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	io.WriteString(w, id.User)
}

// url returns the URL of a path on a port.
func (l *live) url(port, path string) string {
	for _, p := range l.server.Ports() {
		if p.Name() == port {
			return "https://" + p.Addr().String() + path
		}
	}
	l.Fatalf("no port %s", port)
	return ""
}

// lines collects log lines. Every line must be JSON.
type lines struct {
	mu     sync.Mutex
	unread bytes.Buffer // of most lines no test reads the fields
	read   []map[string]any
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unread.Write(p)
}

// all returns the fields of every line.
func (l *lines) all() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(l.unread.Bytes()) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			fields = map[string]any{"not JSON": string(line)}
		}
		l.read = append(l.read, fields)
	}
	l.unread.Reset()
	return l.read
}

// text returns the whole log.
func (l *lines) text() string {
	var b strings.Builder
	for _, fields := range l.all() {
		for k, v := range fields {
			fmt.Fprintf(&b, "%s=%v ", k, v)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// find returns the lines with these fields, in pairs.
func (l *lines) find(pairs ...string) []map[string]any {
	var out []map[string]any
next:
	for _, fields := range l.all() {
		for i := 0; i < len(pairs); i += 2 {
			if text, _ := fields[pairs[i]].(string); !strings.Contains(text, pairs[i+1]) {
				continue next
			}
		}
		out = append(out, fields)
	}
	return out
}
