package keepalive_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/keepalive"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// wrapped hides the interfaces of its ResponseWriter, as a program's own wrapper does.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// sendTwo sends two requests in one write. It returns the first answer, and reports whether
// the second was answered.
func sendTwo(t *testing.T, h http.HandlerFunc) (*http.Response, bool) {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testkit.Patience))
	fmt.Fprint(c, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2))
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the answer was cut off: %v", err)
	}
	_, err = http.ReadResponse(r, nil)
	return res, err == nil
}

// Covers K13.
func TestWriterAnnouncesTheEnd(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"nothing":        func(http.ResponseWriter) {},
		"a status":       func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
		"a body":         func(w http.ResponseWriter) { io.WriteString(w, "x") },
		"a flush":        func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"another header": func(w http.ResponseWriter) { w.Header().Set("Connection", "keep-alive"); w.WriteHeader(http.StatusOK) },
	} {
		for _, last := range []bool{true, false} {
			res, next := sendTwo(t, func(w http.ResponseWriter, _ *http.Request) {
				own := &keepalive.Writer{ResponseWriter: w, Last: func() bool { return last }}
				answer(own)
				own.Finish()
			})
			if res.Close != last || next == last {
				t.Errorf("%s, last %t: announced %t, the next was answered %t", name, last, res.Close, next)
			}
		}
	}
}

// Covers K13. Close ends a connection whose answer did not announce it, and does not truncate
// the answer.
func TestCloseEndsTheConnectionBehindTheAnswer(t *testing.T) {
	t.Parallel()
	for name, flush := range map[string]bool{"begun": true, "not begun": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // net/http waits half a second before it closes
			res, next := sendTwo(t, func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "answer")
				if flush {
					w.(http.Flusher).Flush()
				}
				keepalive.Close(wrapped{wrapped{w}})
			})
			if next {
				t.Error("the next request was answered")
			}
			if res.Close == flush {
				t.Errorf("announced %t", res.Close)
			}
		})
	}
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                           false,
		"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\n\r\n":             true,
		"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n":               true,
		"GET / HTTP/1.0\r\nConnection: upgrade\r\nupgrade: x\r\n\r\n": true,
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
		if err != nil || keepalive.Switches(r) != want {
			t.Errorf("%q: %v, want %t", text, err, want)
		}
	}
}
