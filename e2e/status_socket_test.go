//go:build unix

package e2e

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// The socket of a running server has its status, and is removed at its end.
func TestStatusSocketOfARunningServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.sub(config, "reload: 0", "reload: 50ms")
	list := newDistribution(t, s.ca.CRL(2, nil))
	s.fetchFrom(list.URL)
	path := s.path("status.sock")
	l := s.start(mtlsguard.Options{StatusSocket: path})
	read := func() *statussocket.Report {
		t.Helper()
		r, err := statussocket.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	alice := s.client(s.alice)
	if got := get(alice, l.url("internal", "/whoami")); !strings.HasPrefix(got, "200") {
		t.Fatal(got)
	}
	if got := get(alice, l.url("internal", "/nothing")); !strings.HasPrefix(got, "403") {
		t.Fatal(got)
	}
	get(s.client(nil), l.url("internal", "/whoami"))
	testkit.Eventually(t, "the refused handshake is counted, and its connection closed", func() bool {
		p := read().Ports[0]
		return p.Handshakes[reason.NoCertificate] == 1 && p.Connections == 1
	})
	r := read()
	if !r.Ready || r.Config != s.path(config) || r.PID != os.Getpid() || len(r.Ports) != 2 || time.Since(r.At) > time.Minute {
		t.Errorf("got %+v, want a ready server with two ports", r)
	}
	if p := r.Ports[0]; p.Name != "internal" || p.Addr != l.server.Ports()[0].Addr().String() || p.Connections != 1 || p.Allowed != 1 || p.Refused[reason.NoRule] != 1 {
		t.Errorf("got %+v, want port internal with one connection, one request allowed and one refused", p)
	}
	for _, want := range []string{"server.pem", "ca.pem", "ca.crl"} {
		i := slices.IndexFunc(r.Ends, func(e statussocket.End) bool { return e.File == s.path(want) })
		if i < 0 || r.Ends[i].At.IsZero() || (r.Ends[i].NextFetch != nil) != (want == "ca.crl") {
			t.Errorf("no end of %s, or a wrong one, in %+v", want, r.Ends)
		}
	}

	s.put("users.yaml", "garbage")
	testkit.Eventually(t, "the failed reload is in the status", func() bool {
		r := read()
		return r.Ready && slices.Contains(r.Degraded, "the last reload failed") && len(r.Failed) > 0 && r.Failed[0].File == s.path("users.yaml") && r.Failed[0].Line > 0
	})

	s.put("users.yaml", siteUsers)
	second, err := mtlsguard.Open(s.path(config), mtlsguard.Options{StatusSocket: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Serve(t.Context(), s.handler); err == nil || !strings.Contains(err.Error(), "is that of a running server") {
		t.Errorf("a second server with the same socket: %v", err)
	}
	for _, p := range second.Ports() {
		if p.Addr() != nil {
			t.Errorf("port %s was opened", p.Name())
		}
	}
	read() // the first still answers
	l.end()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}
