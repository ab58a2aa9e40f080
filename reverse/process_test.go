package reverse_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// halves are requests that are half answered when a process is killed.
var halves = []string{"/hang", "/hang?length=1000"}

// halfAnswered sends a request and reads the first half of the answer.
func halfAnswered(tb testing.TB, c *client, target string) *http.Response {
	tb.Helper()
	res := must[*http.Response](tb)(c.http.Do(c.request("GET", target, nil)))
	b := make([]byte, 5)
	if _, err := io.ReadFull(res.Body, b); err != nil {
		tb.Fatal(err)
	}
	return res
}

func TestKilledServerNeverLooksLikeAnEnd(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		d := newDMZ(t)
		s := newChild(t, "server", d.registration.Addr().String(), orders)
		s.wait(t, "ready")
		c := d.client(t, alice, h2)
		var answers []*http.Response
		for _, target := range halves {
			answers = append(answers, halfAnswered(t, c, target))
			s.wait(t, "began")
		}
		waiting := make(chan response, 1)
		go func() { waiting <- c.get("/wait") }()
		s.wait(t, "began")
		up := make(chan error, 1)
		go func() {
			_, err := c.http.Do(c.request("POST", "/sum", zeros{}))
			up <- err
		}()
		// A client that waits for an answer before it sends more sees the end too.
		talk := dialRaw(t, d, alice)
		io.WriteString(talk, "POST /talk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
		talked := must[*http.Response](t)(http.ReadResponse(talk.r, nil))
		talked2, upload := startDuplexHTTP2(t, d)
		old := getHTTP10(t, d, "/hang")
		s.wait(t, "began")
		s.kill()
		for _, res := range answers {
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a clean end after %q", body)
			}
			res.Body.Close()
		}
		if got := <-waiting; got.Code != 502 || got.Answer.Get("Content-Type") != "application/problem+json" {
			t.Errorf("the waiting request: %d %v", got.Code, got.Answer)
		}
		for what, res := range map[string]*http.Response{"HTTP/1.1": talked, "HTTP/2": talked2} {
			if body, err := io.ReadAll(res.Body); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: got %q, %v; want an aborted answer", what, body, err)
			}
		}
		upload.Close()
		<-up // an answer of 502, or aborted
		if _, err := io.ReadAll(old.r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("HTTP/1.0 ends with %v", err)
		}
		testkit.Eventually(t, "the tunnel to go", func() bool { return len(d.gateway.Tunnels()) == 0 })
	}
}

func TestKilledServerAbortsWebSockets(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := newChild(t, "server", d.registration.Addr().String(), orders)
	s.wait(t, "ready")
	c, res := upgrade(t, d, alice, "/ws", "websocket")
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	fmt.Fprintln(c, "x")
	if line, err := c.r.ReadString('\n'); line != " received x\n" {
		t.Fatalf("got %q, %v; want the echo of x", line, err)
	}
	s.kill()
	if _, err := io.ReadAll(c.r); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("ended with %v", err)
	}
}

// startDuplexHTTP2 sends the first line of a full-duplex request, and reads the answer to it.
func startDuplexHTTP2(tb testing.TB, d *dmz) (*http.Response, io.Closer) {
	tb.Helper()
	body, upload := io.Pipe()
	c := d.client(tb, alice, true)
	go fmt.Fprintln(upload, "first")
	res := must[*http.Response](tb)(c.http.Do(c.request("POST", "/talk", body)))
	if _, err := io.ReadFull(res.Body, make([]byte, len("received first"))); err != nil {
		tb.Fatal(err)
	}
	return res, upload
}

// getHTTP10 sends a request of HTTP/1.0, whose answer ends with the connection.
func getHTTP10(tb testing.TB, d *dmz, target string) *rawConn {
	tb.Helper()
	c := dialRaw(tb, d, alice)
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: x\r\n\r\n", target)
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			tb.Fatal(err)
		}
		if line == "half of it\n" {
			return c
		}
	}
}

func TestKilledGatewayNeverLooksLikeAnEnd(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		g, registration, external := newGatewayChild(t)
		shop := newTestHandler()
		sc := (&dmz{}).baseConfig(t, orders, newGuard(t).Handler(shop), "orders")
		sc.Addrs = []string{registration}
		s := startConnected(t, sc)
		c := newClient(t, external, alice, h2)
		var answers []*http.Response
		for _, target := range halves {
			answers = append(answers, halfAnswered(t, c, target))
			<-shop.began
		}
		waiting := make(chan error, 1)
		go func() {
			_, err := c.http.Do(c.request("GET", "/wait", nil))
			waiting <- err
		}()
		<-shop.began
		g.kill()
		for _, res := range answers {
			if body, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("a clean end after %q", body)
			}
			res.Body.Close()
		}
		if err := <-waiting; err == nil {
			t.Error("the waiting request was answered")
		}
		for range 3 { // the handlers' contexts end with their callers' connections
			<-shop.cancelled
		}
		testkit.Eventually(t, "the server to see it", func() bool { return s.events.count(reverse.Gone) == 1 })
	}
}
