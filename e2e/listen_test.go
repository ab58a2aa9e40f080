package e2e

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
)

// Options.Listen opens the listener of every port of the file.
func TestProgramOpensTheListeners(t *testing.T) {
	s := newSite(t)
	s.put("mtlsguard.yaml", strings.ReplaceAll(siteConfig, "127.0.0.1:0", "127.0.0.1:65000"))
	s.put("mtlsguard.yaml", strings.Replace(s.get("mtlsguard.yaml"), "127.0.0.1:65000", "127.0.0.1:65001", 1))
	var mu sync.Mutex
	asked := map[string]string{}
	l := s.start(mtlsguard.Options{Listen: func(_ context.Context, port, addr string) (net.Listener, error) {
		mu.Lock()
		defer mu.Unlock()
		asked[port] = addr
		return net.Listen("tcp", "127.0.0.1:0")
	}})
	if asked["internal"] != "127.0.0.1:65001" || asked["public"] != "127.0.0.1:65000" {
		t.Errorf("Listen was called with %v", asked)
	}
	if got := get(s.client(s.alice), l.url("internal", "/whoami")); got != "200 alice" {
		t.Errorf("got %s, want 200 alice", got)
	}
}
