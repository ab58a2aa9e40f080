package main

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

func init() { reportTakes = 300 * time.Millisecond }

const policy = `p, group:Authenticated, *, GET, /orders/*, allow
p, group:Authenticated, *, GET, /report, allow
`

// get returns the status and the body of an answer.
func get(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func TestCallersAreServedAndRefused(t *testing.T) {
	t.Parallel()
	server := mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithServe(serve), mtlsguardtest.WithPolicy(policy))
	for _, row := range []struct {
		client     *http.Client
		path, want string
	}{
		{server.Client("alice"), "/orders/7", "order 7 for alice\n"},
		{server.Client("alice"), "/report", "403 Forbidden"}, // she is no auditor
		{server.Client("alice"), "/secret", "403 Forbidden"}, // the policy has no rule
		{server.Stranger(), "/orders/7", "403 Forbidden"},
	} {
		if got := get(row.client, server.URL+row.path); got != row.want {
			t.Errorf("%s: got %q, want %q", row.path, got, row.want)
		}
	}
	if _, err := server.Revoked().Get(server.URL + "/orders/7"); err == nil {
		t.Error("a revoked certificate is accepted")
	}
}

// A request under way when the signal to end comes gets its answer, and the next one no
// connection.
func TestShutdownWaitsForRequests(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithPolicy(policy), mtlsguardtest.WithGroups("alice", "auditors"),
		mtlsguardtest.WithServe(func(ctx context.Context, server *mtlsguard.Server) error {
			ctx, cancel := context.WithCancel(ctx) // in main this is the signal
			go func() { <-stop; cancel() }()
			return serve(ctx, server)
		}))
	alice := server.Client("alice")
	answer := make(chan string, 1)
	go func() { answer <- get(alice, server.URL+"/report") }()
	for limit := time.Now().Add(time.Minute); server.Server.Status().Ports[0].Allowed == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the request does not arrive")
		}
	}
	close(stop)
	if got := <-answer; got != "all orders\n" {
		t.Errorf("the request under way: %q, want %q", got, "all orders\n")
	}
	if _, err := server.Client("bob").Get(server.URL + "/orders/7"); err == nil {
		t.Error("a request after the end is served")
	}
}
