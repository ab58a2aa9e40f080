package e2e

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A request that came through no port is an error of the program: 500 for the caller, and
// one line of level ERROR a minute for the operator.
func TestRequestThroughNoPortIsAnErrorOfTheProgram(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	log := &lines{}
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{Log: mtlsguard.JSONLog(log, slog.LevelDebug)})
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []func(http.Handler) *httptest.Server{httptest.NewServer, httptest.NewTLSServer} {
		web := start(server.Handler(s.handler))
		defer web.Close()
		for range 50 {
			if got := get(web.Client(), web.URL+"/whoami"); got != "500 no-port" {
				t.Fatal(got)
			}
		}
	}
	testkit.Eventually(t, "the line", func() bool { return len(log.find("event", "decision")) > 0 })
	_ = server.Reload() // it flushes the log
	found := log.find("event", "decision")
	if len(found) != 1 || found[0]["level"] != "ERROR" || found[0]["reason"] != "no-port" || found[0]["outcome"] != "refuse" {
		t.Errorf("%d lines, the first %v", len(found), found[0])
	}
}
