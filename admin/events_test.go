package admin_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// stream opens the stream of events, and returns a function that waits for an event and returns
// its data. It returns "" at the end of the stream.
func (s *site) stream(c *http.Client, pairs ...string) (*http.Response, func(event string) string) {
	s.Helper()
	r, err := http.NewRequest("GET", "https://"+s.addr["admin"]+"/api/v1/events", nil)
	if err != nil {
		s.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return res, func(event string) string {
		found := false
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				found = name == event
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && found {
				return data
			}
		}
		return ""
	}
}

// Events reach the browser, over both protocols. A new configuration ends the stream: it may not
// allow the stream any more. So does a drain: the server must not wait for it. Covers W8.
func TestStreamOfEvents(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]testkit.ClientOption{"HTTP/1.1": nil, "HTTP/2": {testkit.HTTP2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			alice := s.client("alice", options...)
			res, next := s.stream(alice)
			if res.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatal(res.Status, res.Header)
			}
			if got := next("status"); !strings.Contains(got, `"generation":1`) || !strings.Contains(got, `{"name":"internal","connections":0`) {
				t.Errorf("status: %s", got)
			}
			p := decodeAny[problem](t, s.do(s.client("bob"), "GET", "internal", "/orders/7", "").body)
			if got := next("refusal"); !strings.Contains(got, p.Reference) || !strings.Contains(got, `"suppressed":0`) {
				t.Errorf("refusal: %s", got)
			}
			if err := s.server.Reload(); err != nil {
				t.Fatal(err)
			}
			if got := next("reload"); got != `{"generation":2}` {
				t.Errorf("reload: %s, want %s", got, `{"generation":2}`)
			}
			if got := next("status"); got != "" {
				t.Errorf("the stream goes on with a new configuration: %s, want none", got)
			}
			_, next = s.stream(alice, "Last-Event-ID", "0")
			if got := next("refusal"); !strings.Contains(got, p.Reference) {
				t.Errorf("a browser that comes back does not get what it missed: %s", got)
			}
			start := time.Now()
			s.stop()
			for next("status") != "" {
			}
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("the stream ended %s after the drain began", took)
			}
		})
	}
}

// A stranger's flood of refusals does not become a flood of events.
// Covers W9.
func TestStreamSendsAFewRefusalsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bob := s.client("bob")
	for range 30 {
		s.do(bob, "GET", "internal", "/orders/7", "")
	}
	_, next := s.stream(s.client("alice"), "Last-Event-ID", "0")
	if got := next("refusal"); strings.Count(got, `"reference"`) != 10 || !strings.Contains(got, `"suppressed":20`) {
		t.Errorf("got %s, want 10 refusals and 20 suppressed", got)
	}
}

// Streams are bounded in number, and one that ends makes room.
// Covers W8.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.put("policy.csv", sitePolicy+"g, user:bob, group:auditors\n")
	if err := s.server.Reload(); err != nil {
		t.Fatal(err)
	}
	alice, carol, bob := s.client("alice", testkit.HTTP2), s.client("carol", testkit.HTTP2), s.client("bob", testkit.HTTP2)
	var open []*http.Response
	for _, client := range []*http.Client{alice, carol} {
		for range 8 {
			res, next := s.stream(client)
			if next("status") == "" {
				t.Fatal(res.Status)
			}
			open = append(open, res)
		}
		if res, _ := s.stream(client); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
			t.Errorf("a ninth stream of a user: %s", res.Status)
		}
	}
	if res, _ := s.stream(bob); res.StatusCode != 503 {
		t.Errorf("a seventeenth stream: %s", res.Status)
	}
	open[0].Body.Close()
	testkit.Eventually(t, "a stream that ended makes room", func() bool {
		res, _ := s.stream(alice)
		res.Body.Close()
		return res.StatusCode == 200
	})
}
