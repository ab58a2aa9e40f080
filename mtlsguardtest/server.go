package mtlsguardtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// Server is a running server with the PKI that it trusts, whose methods return the clients that call
// it. It ends with its test.
type Server struct {
	*PKI
	// URL is that of the first port, without a path: https://127.0.0.1:41234.
	URL string
	// Server is the server under test: for Status, Explain and Guard. Its files are in memory and
	// never change.
	Server *mtlsguard.Server
}

// NewServer serves a handler behind a guard, on a port of loopback, until the test ends. Without
// options the port requires a certificate, and every named user may send every request. The log of
// the server is in that of the test: it names the rule or the certificate behind a refusal.
func NewServer(t testing.TB, handler http.Handler, options ...Option) *Server {
	requireTest()
	t.Helper()
	setup := newSetup(options)
	f, isFunc := handler.(http.HandlerFunc)
	if wrong := setup.check(handler != nil && !(isFunc && f == nil)); wrong != "" {
		t.Fatalf("mtlsguardtest: NewServer: %s", wrong)
	}
	s := &Server{PKI: NewPKI(t)}
	log := &testLog{t: t}
	if setup.options.Log == nil {
		setup.options.Log = mtlsguard.JSONLog(log, nil)
	}
	if setup.set["WithConfig"] && setup.options.Listen == nil {
		setup.options.Listen = listenOnLoopback
	}
	server, err := mtlsguard.OpenFS(setup.fileSystem(s.PKI), "mtlsguard.yaml", setup.options)
	if err != nil {
		t.Fatalf("mtlsguardtest: NewServer: %s", listErrors(err))
	}
	s.Server = server
	if setup.serve == nil {
		setup.serve = func(ctx context.Context, server *mtlsguard.Server) error { return server.Serve(ctx, handler) }
	}
	s.start(setup, log)
	if all := server.Ports(); len(all) > 0 {
		s.URL = s.PortURL(all[0].Name())
	}
	return s
}

// listenOnLoopback opens a free port of loopback, whatever the address in the configuration: that of
// production may be taken, and open to others.
func listenOnLoopback(ctx context.Context, _, _ string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
}

// fileSystem returns the files of the configuration.
func (s *setup) fileSystem(p *PKI) fstest.MapFS {
	out := fstest.MapFS{}
	for name, content := range p.files() {
		out[name] = &fstest.MapFile{Data: content}
	}
	separator := ""
	if !strings.HasSuffix(s.policy, "\n") {
		separator = "\n"
	}
	out["policy.csv"] = &fstest.MapFile{Data: []byte(s.policy + separator + s.members.String())}
	out["mtlsguard.yaml"] = &fstest.MapFile{Data: []byte(s.yaml())}
	for name, content := range s.files {
		out[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return out
}

// listErrors returns the configuration errors in err, one a line.
func listErrors(err error) string {
	all := configerror.All(err)
	if len(all) == 0 {
		return err.Error()
	}
	var b strings.Builder
	for _, e := range all {
		b.WriteString("\n    " + e.Error())
	}
	return b.String()
}

// start serves until the test ends. It returns when every port is open.
func (s *Server) start(setup *setup, log *testLog) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, failed := make(chan struct{}), false
	var served error
	go func() {
		defer close(ended)
		served = setup.serve(ctx, s.Server)
	}()
	s.t.Cleanup(func() {
		defer log.close()
		cancel()
		select {
		case <-ended:
			if served != nil && !failed && !errors.Is(served, http.ErrServerClosed) {
				s.t.Errorf("mtlsguardtest: serving ended with an error: %v", served)
			}
		case <-time.After(setup.endWithin):
			s.t.Errorf("mtlsguardtest: serving does not end within %s: the function of WithServe must return when its context ends", setup.endWithin)
		}
	})
	for limit := time.Now().Add(setup.startWithin); !s.Server.Status().Ready(); {
		select {
		case <-ended:
			failed = true
			s.t.Fatalf("mtlsguardtest: NewServer: serving ended before every port was open: %v", served)
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(limit) {
			s.t.Fatalf("mtlsguardtest: NewServer: not ready after %s: %s. The function of WithServe must open every port and call Server.Run or Server.Serve",
				setup.startWithin, strings.Join(s.Server.Status().NotReady, "; "))
		}
	}
}

// PortURL returns the URL of a port of WithConfig, without a path.
func (s *Server) PortURL(port string) string {
	s.t.Helper()
	var names []string
	for _, p := range s.Server.Ports() {
		if p.Name() == port {
			return "https://" + p.Addr().String()
		}
		names = append(names, p.Name())
	}
	s.t.Fatalf("mtlsguardtest: PortURL: there is no port %q: ports are %s", port, strings.Join(names, ", "))
	return ""
}

// testLog writes to the log of a test, until the test has ended: then it would panic.
type testLog struct {
	mu    sync.Mutex
	t     testing.TB
	ended bool
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return len(p), nil
	}
	return l.t.Output().Write(p)
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
}
