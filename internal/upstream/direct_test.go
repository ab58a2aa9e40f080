package upstream_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// accept starts a service that handles each connection with a function; n counts from 1.
func accept(tb testing.TB, handle func(c net.Conn, in *bufio.Reader, n int)) upstream.Address {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for n := 1; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c, bufio.NewReader(c), n)
			}()
		}
	}()
	return upstream.Address{Host: listener.Addr().String()}
}

// transport is http.Transport with the settings that Plain has.
func transport(a upstream.Address) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", a.Host)
		},
		ResponseHeaderTimeout:  testkit.Patience,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
	}
}

// answer is what a caller gets.
type answer struct {
	*httptest.ResponseRecorder
	interim []int // informational answers
}

func (w *answer) WriteHeader(status int) {
	if status < http.StatusOK {
		w.interim = append(w.interim, status) // a ResponseRecorder would take it for the answer
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}

// request forwards a request, and returns what the caller gets.
func request(u *upstream.Upstream, r *http.Request) (w *answer, aborted bool) {
	w = &answer{ResponseRecorder: httptest.NewRecorder()}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			aborted = true
		}
	}()
	ctx := context.WithValue(r.Context(), http.ServerContextKey, &http.Server{}) // without it ReverseProxy aborts nothing
	u.ServeHTTP(w, r.WithContext(context.WithValue(ctx, identitykey.Key{}, &identity.Identity{User: "alice"})))
	return w, false
}

// get sends one request to a service that must answer, and returns the body.
func get(tb testing.TB, u *upstream.Upstream) string {
	tb.Helper()
	w, aborted := request(u, httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil))
	if aborted || w.Code != http.StatusOK {
		tb.Fatal(w.Code, aborted, w.Body)
	}
	return w.Body.String()
}

// readHead reads one request without a body, as it stands.
func readHead(in *bufio.Reader) (string, error) {
	head := ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			return head, err
		}
		head += line
	}
	return head, nil
}

const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"

// Whatever a service sends, a caller gets the same as through http.Transport, and the service gets
// the same bytes.
// Covers Y3, Y9.
func FuzzAnswersAreThoseOfNetHTTP(f *testing.F) {
	log.SetOutput(io.Discard) // net/http writes what it closes a connection for
	for _, answer := range []string{
		"", "\r\n", good, good + "evil", "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\nuntil the end", "HTTP/1.0 200 OK\r\n\r\nold",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n" + good, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + good, "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 099 None\r\n\r\n", "HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 255<<10) + "\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 270<<10) + "\r\nContent-Length: 0\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\nA: "+strings.Repeat("a", 100<<10)+"\r\n\r\n", 4) + good,
	} {
		f.Add([]byte(answer), false)
		f.Add([]byte(answer), true)
	}
	answers, heads := make(chan string, 1), make(chan string, 1)
	a := accept(f, func(c net.Conn, in *bufio.Reader, _ int) {
		head, _ := readHead(in)
		heads <- head
		_, _ = io.WriteString(c, <-answers)
	})
	own, other := via(a), via(a)
	own.Retries, other.Retries = 0, 0
	via := transport(a)
	other.Via = via
	own.Requests, other.Requests = 2, 2
	f.Fuzz(func(t *testing.T, answer []byte, head bool) {
		via.CloseIdleConnections()
		get := func(u *upstream.Upstream) string {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/a%2fb?c=d;e", nil)
			if head {
				r.Method = "HEAD"
			}
			r.Header = http.Header{"Accept": {"a", "b"}, "Te": {"trailers"}, "X-Empty": {""}, "Cookie": {"ä=1"}, "Keep-Alive": {"1"}}
			answers <- string(answer)
			w, aborted := request(u, r)
			got := w.Result()
			body := w.Body.String()
			if got.Header.Get("Content-Type") == "application/problem+json" {
				body = "" // a reference
			}
			got.Header.Del("Content-Length") // of a problem document, too
			return fmt.Sprintf("%s\n%v %d %v %v %v %q", <-heads, w.interim, got.StatusCode, got.Header, got.Trailer, aborted, body)
		}
		// A new Upstream each, so that each request has a new connection.
		if first, second := get(upstream.New(own)), get(upstream.New(other)); first != second {
			t.Errorf("own:\n%s\nnet/http:\n%s", first, second)
		}
	})
}

// A connection is used again, and no longer than the service keeps it: a request on a connection
// that the service has closed is sent again, also without retries.
// Covers Y3.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name        string
		requests    int // that the service answers on one connection
		reads       int // that it reads
		connections string
	}{
		{"the service keeps connections", 100, 100, "1 1 1 1 "},
		{"it closes after an answer", 1, 1, "1 2 3 4 "},
		{"it closes after the next request", 1, 2, "1 2 3 4 "},
	} {
		c := via(accept(t, func(c net.Conn, in *bufio.Reader, n int) {
			for i := range row.reads {
				if _, err := readHead(in); err != nil || i >= row.requests {
					return
				}
				_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%d ", n)
			}
		}))
		c.Retries = 0
		u, got := upstream.New(c), ""
		for range 4 {
			got += get(t, u)
		}
		if got != row.connections {
			t.Errorf("%s: the connections were %s, want %s", row.name, got, row.connections)
		}
	}
}

// Bytes that a service sends after its answer, at any time before the next request, are not the
// answer to it.
// Covers Y9.
func TestLateSurplusIsNoAnswer(t *testing.T) {
	t.Parallel()
	sent := make(chan bool)
	c := via(accept(t, func(c net.Conn, in *bufio.Reader, _ int) {
		for {
			if _, err := readHead(in); err != nil {
				return
			}
			_, _ = io.WriteString(c, good)
			sent <- true
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")
			sent <- true
		}
	}))
	u := upstream.New(c)
	for range 3 {
		if got := get(t, u); got != "good" {
			t.Fatal(got)
		}
		<-sent // from now on the connection is kept
		<-sent // the surplus is in the receive buffer of the connection
	}
}

// A body after an answer to HEAD, at any time, is not the answer to the next request: the connection gets none, and the
// service reads that. A request with a body is on a connection of net/http.
// Covers Y9.
func TestBodyAfterHEADIsNoAnswer(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 9)
	u := upstream.New(via(accept(t, func(c net.Conn, in *bufio.Reader, _ int) {
		head, err := readHead(in)
		if err != nil {
			return
		}
		heads <- head
		if !strings.HasPrefix(head, "HEAD ") {
			_, _ = io.WriteString(c, good)
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n")
		if head, err := readHead(in); err == nil { // the next request is on this connection
			heads <- head
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!")
		}
	})))
	for _, body := range []io.Reader{nil, strings.NewReader("unusual")} {
		w, _ := request(u, httptest.NewRequestWithContext(t.Context(), http.MethodHead, "/", body))
		if head := <-heads; w.Code != http.StatusOK || !strings.Contains(head, "\r\nConnection: close\r\n") {
			t.Errorf("HEAD: %d, the service got %q, want Connection: close", w.Code, head)
		}
		if got := get(t, u); got != "good" {
			t.Errorf("the request after HEAD got %q", got)
		}
		<-heads
	}
}

// A body that the caller does not take to its end, and a caller that goes, close the connection to
// the service; the next request has another one. So does a replaced Upstream.
// Covers Y3, Y7.
func TestEndOfACallerClosesTheConnection(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, answer string }{
		{"before the answer", ""},
		{"within a body with a length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"},
		{"within chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"},
		{"within a body until the end", "HTTP/1.1 200 OK\r\n\r\nbegun"},
	} {
		begun, ended := make(chan bool), make(chan error, 1)
		u := upstream.New(via(accept(t, func(c net.Conn, in *bufio.Reader, n int) {
			_, _ = readHead(in)
			if n > 1 {
				_, _ = io.WriteString(c, good)
			} else {
				_, _ = io.WriteString(c, row.answer)
				begun <- true
			}
			_, err := in.ReadByte()
			ended <- err
		})))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		if w, aborted := request(u, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)); !aborted {
			t.Errorf("%s: the answer looks complete: %d %s", row.name, w.Code, w.Body)
		}
		wait := func(what string) {
			select {
			case err := <-ended:
				if err == nil {
					t.Errorf("%s: %s: the service got a byte", row.name, what)
				}
			case <-time.After(testkit.Patience):
				t.Errorf("%s: %s: the connection is open", row.name, what)
			}
		}
		wait("the caller has gone")
		if got := get(t, u); got != "good" {
			t.Error(row.name, got)
		}
		u.CloseIdle()
		wait("the Upstream is replaced")
		if got := get(t, u); got != "good" { // a request that came before
			t.Error(row.name, got)
		}
		wait("after the last request")
	}
}

// A service that sends its header byte by byte does not prolong the wait for it, and is not asked a
// second time.
// Covers Y3.
func TestSlowHeaderEnds(t *testing.T) {
	t.Parallel()
	a := accept(t, func(c net.Conn, in *bufio.Reader, n int) {
		_, _ = readHead(in)
		if n > 1 {
			t.Error("the request was sent again")
		}
		for _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nA: "); err == nil; _, err = io.WriteString(c, "a") {
			time.Sleep(10 * time.Millisecond) // the pace of the service
		}
	})
	c := via(a)
	c.Via = upstream.Plain(a, false, 200*time.Millisecond)
	var failed error
	c.OnFailure = func(f upstream.Failure) { failed = f.Err }
	w, _ := request(upstream.New(c), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if w.Code != http.StatusGatewayTimeout || failed == nil || errors.Is(failed, context.Canceled) {
		t.Error(w.Code, failed)
	}
}

// A connection whose answer did not end where its framing says, or that the service will close,
// carries no further request.
// Covers Y9.
func TestUnfinishedConnectionsAreNotKept(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, answer string }{
		{"a malformed chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"},
		{"Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		{"an upgrade without a request for one", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"},
		{"a malformed header", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"},
	} {
		ended := make(chan error, 2)
		c := via(accept(t, func(c net.Conn, in *bufio.Reader, n int) {
			_, _ = readHead(in)
			_, _ = io.WriteString(c, []string{row.answer, good}[min(n, 2)-1])
			_, err := in.ReadByte()
			ended <- err
		}))
		c.Retries = 0
		u := upstream.New(c)
		request(u, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the connection got another byte", row.name)
			}
		case <-time.After(testkit.Patience):
			t.Errorf("%s: the connection is open", row.name)
		}
		if got := get(t, u); got != "good" {
			t.Error(row.name, got)
		}
	}
}

// On a connection that was kept, a request is not sent again after a timeout, or after a part of
// the answer.
// Covers Y3.
func TestKeptConnectionsDoNotRepeatTooMuch(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, answer string
		status       int
	}{
		{"silence", "", http.StatusGatewayTimeout},
		{"a part of the header", "HTTP/1.1 200 OK\r\nA", http.StatusBadGateway},
	} {
		connections := make(chan int, 9)
		a := accept(t, func(c net.Conn, in *bufio.Reader, n int) {
			connections <- n
			_, _ = readHead(in)
			_, _ = io.WriteString(c, good)
			_, _ = readHead(in)
			if row.answer == "" {
				_, _ = in.ReadByte() // until the connection ends
			}
			_, _ = io.WriteString(c, row.answer)
		})
		c := via(a)
		c.Via, c.Retries = upstream.Plain(a, false, time.Second), 0
		u := upstream.New(c)
		get(t, u)
		if w, _ := request(u, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)); w.Code != row.status || len(connections) != 1 {
			t.Errorf("%s: status %d, %d connections", row.name, w.Code, len(connections))
		}
	}
}
