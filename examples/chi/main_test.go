package main

import (
	"bufio"
	"context"
	_ "embed"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

//go:embed config/policy.csv
var policy string

func newServer(t *testing.T) *mtlsguardtest.Server {
	t.Helper()
	return mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithServe(serve), mtlsguardtest.WithPolicy(policy),
		mtlsguardtest.WithGroups("alice", "managers", "admins"))
}

// call returns the status and the body of an answer.
func call(t *testing.T, c *http.Client, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for _, row := range []struct {
		user, method, path string
		status             int
		body               string
	}{
		{"alice", "GET", "/orders/7", 200, "order 7 for alice"},
		{"bob", "GET", "/orders/7", 200, "order 7 for bob"},
		{"mallory", "GET", "/orders/7", 403, `"reason":"denied"`},
		{"alice", "DELETE", "/orders/7", 204, ""},
		{"bob", "DELETE", "/orders/7", 403, `"reason":"no-rule"`},
		{"alice", "GET", "/admin/users", 200, "all users"},
		{"bob", "GET", "/admin/users", 403, `"reason":"no-rule"`},
		{"bob", "GET", "/orders/..%2fadmin/users", 400, `"reason":"ambiguous-path"`},
		{"alice", "GET", "/elsewhere", 403, `"reason":"no-rule"`}, // and no 404: the policy comes first
	} {
		status, body := call(t, server.Client(row.user), row.method, server.URL+row.path)
		if status != row.status || !strings.Contains(body, row.body) {
			t.Errorf("%s: %s %s: %d %q, want %d %q", row.user, row.method, row.path, status, body, row.status, row.body)
		}
	}
}

// A route can require more than the policy allows.
func TestAdminRequiresTheGroup(t *testing.T) {
	t.Parallel()
	server := mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithServe(serve), mtlsguardtest.WithPolicy("p, group:Authenticated, *, *, /*, allow\n"))
	for _, path := range []string{"/admin/users", "/admin/unknown"} {
		if status, body := call(t, server.Client("bob"), "GET", server.URL+path); status != 403 || !strings.Contains(body, `"reason":"denied"`) {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	res, err := server.Client("alice").Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	events := bufio.NewScanner(res.Body)
	for _, want := range []string{"data: event 1 for alice", "", "data: event 2 for alice"} {
		if !events.Scan() || events.Text() != want {
			t.Fatalf("got %q, want %q (%v)", events.Text(), want, events.Err())
		}
	}
	if status, _ := call(t, server.Client("mallory"), "GET", server.URL+"/events"); status != 403 {
		t.Errorf("mallory: %d, want 403", status)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	url := strings.Replace(server.URL, "https:", "wss:", 1) + "/chat"
	c, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: server.Client("alice")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, text := range []string{"hello", "goodbye"} {
		if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != "alice says "+text {
			t.Errorf("got %q, %v; want the echo for alice", got, err)
		}
	}
	_, res, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: server.Client("mallory")})
	if err == nil || res == nil || res.StatusCode != 403 {
		t.Errorf("mallory: %v", err)
	}
}

// A certificate that expires ends the streams of its caller. The clock of the server is the test's.
func TestStreamsEndWithTheCertificate(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	server := mtlsguardtest.NewServer(t, nil, mtlsguardtest.WithServe(serve), mtlsguardtest.WithPolicy(policy),
		mtlsguardtest.WithOptions(mtlsguard.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, strings.Replace(server.URL, "https:", "wss:", 1)+"/chat", &websocket.DialOptions{HTTPClient: server.Client("alice")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	res, err := server.Client("alice").Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()

	ahead.Store(int64(48 * time.Hour)) // certificates of tests last a day
	if _, _, err := c.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the WebSocket: %v", err)
	}
	for err = nil; err == nil && ctx.Err() == nil; {
		_, err = res.Body.Read(make([]byte, 100))
	}
	if ctx.Err() != nil {
		t.Error("the events go on")
	}
}

// The policy alone, without a server.
func TestPolicy(t *testing.T) {
	t.Parallel()
	mtlsguardtest.Policy(t, policy, `
# user   port  method  path          expected
bob      *     GET     /orders/7     allow
bob      *     DELETE  /orders/7     no-rule
mallory  *     GET     /chat         denied
Default  *     GET     /orders/7     no-rule
`)
}
