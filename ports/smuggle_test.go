package ports_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers H15, K13. If a body ends early, by a deadline of the port or of the handler, the
// rest of the body never becomes a request.
func TestUnreadBodyIsNeverARequest(t *testing.T) {
	long := time.Unix(1, 0)
	type row struct {
		pause  time.Duration // within the body
		handle func(w http.ResponseWriter, r *http.Request, c *http.ResponseController)
	}
	const later = 1200 * time.Millisecond // longer than Limits.Headers and Limits.Idle
	rows := map[string]row{
		"not read":              {later, func(w http.ResponseWriter, _ *http.Request, _ *http.ResponseController) {}},
		"not read, full duplex": {later, func(w http.ResponseWriter, _ *http.Request, c *http.ResponseController) { c.EnableFullDuplex() }},
		"answered first, full duplex": {later, func(w http.ResponseWriter, _ *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			c.Flush()
		}},
		"read in part, full duplex": {later, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			r.Body.Read(make([]byte, 1))
			c.Flush()
		}},
		"read until idle, full duplex": {later, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			c.Flush()
			io.Copy(io.Discard, r.Body)
		}},
		"interrupted, full duplex": {100 * time.Millisecond, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			c.Flush()
			c.SetReadDeadline(long)
		}},
		"interrupted while it reads, full duplex": {100 * time.Millisecond, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			c.Flush()
			time.AfterFunc(50*time.Millisecond, func() { c.SetReadDeadline(long) })
			io.Copy(io.Discard, r.Body)
		}},
		"interrupted, then no deadline": {100 * time.Millisecond, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			c.Flush()
			time.AfterFunc(50*time.Millisecond, func() { c.SetReadDeadline(long) })
			io.Copy(io.Discard, r.Body)
			c.SetReadDeadline(time.Time{})
		}},
		"closed, full duplex": {later, func(w http.ResponseWriter, r *http.Request, c *http.ResponseController) {
			c.EnableFullDuplex()
			r.Body.Close()
		}},
	}
	evil := "DELETE /evil HTTP/1.1\r\nHost: localhost\r\n\r\n"
	onFakeClock(t, func(t *testing.T) {
		atOnce(rows, func(name string, row row) {
			atOnce(map[string][2]string{
				"chunked": {"Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", 5+len(evil)) + "first", evil + "\r\n0\r\n\r\n"},
				"expect":  {fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\nfirst", 5+len(evil)), evil},
				"length":  {fmt.Sprintf("Content-Length: %d\r\n\r\nfirst", 5+len(evil)), evil},
			}, func(framing string, parts [2]string) {
				var smuggled, served atomic.Int64
				c, _ := config(t, ports.Require)
				c.Limits = ports.Limits{Headers: 500 * time.Millisecond, Idle: 500 * time.Millisecond, Drain: time.Second}
				p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/" {
						smuggled.Add(1)
						return
					}
					served.Add(1)
					row.handle(w, r, http.NewResponseController(w))
				}))
				own := connected(t, p, clientConfig(alice, h1))
				own.SetDeadline(time.Now().Add(patience))
				answer := make(chan []byte, 1)
				go func() { got, _ := io.ReadAll(own); answer <- got }()
				io.WriteString(own, "POST / HTTP/1.1\r\nHost: localhost\r\n"+parts[0])
				time.Sleep(row.pause)
				io.WriteString(own, parts[1])
				got := <-answer
				if smuggled.Load() > 0 || served.Load() != 1 {
					t.Errorf("%s, %s: %d requests were read out of the body (%d served): %.200q", name, framing, smuggled.Load(), served.Load(), got)
				}
				if n := strings.Count(string(got), "HTTP/1.1 2"); n != 1 {
					t.Errorf("%s, %s: %d answers", name, framing, n)
				}
			})
		})
	})
}

// Covers K13. The connection goes on after a small body that the handler does not read, and
// after a body that is read to its end in time.
func TestUnreadBodyKeepsTheConnection(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		p := onPipes(t, brisk(t, ports.Require), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/part":
				r.Body.Read(make([]byte, 1))
			case "/close":
				r.Body.Close()
				time.Sleep(time.Second) // a deadline of the body must not end the request now
			case "/all":
				io.Copy(io.Discard, r.Body)
				time.Sleep(time.Second)
			}
			fmt.Fprint(w, r.Context().Err())
		}))
		atOnce(map[string]bool{"/part": true, "/close": true, "/all": true, "/none": true}, func(path string, _ bool) {
			own := connected(t, p, clientConfig(alice, h1))
			for _, body := range []io.Reader{strings.NewReader(strings.Repeat("x", 1000)), io.MultiReader(strings.NewReader("chunked"))} {
				r, err := own.http.Post("https://localhost"+path, "text/plain", body)
				if err != nil {
					t.Errorf("%s: the request: %v", path, err)
					return
				}
				got, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if string(got) != "<nil>" || r.Close {
					t.Errorf("%s: %q, close %v", path, got, r.Close)
				}
			}
		})
	})
}

// Covers K13, H15. A client that is still sending gets the early answer, with Connection:
// close.
func TestEarlyAnswerArrives(t *testing.T) {
	t.Parallel()
	c := brisk(t, ports.Require)
	c.Limits.Idle = patience
	p := newPort(t, c)
	serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/part" {
			r.Body.Read(make([]byte, 1))
		}
		http.Error(w, "no", http.StatusForbidden)
	}), p)
	const size = 50 << 20
	rows := map[string]string{"/none": fmt.Sprintf("Content-Length: %d", size), "/part": fmt.Sprintf("Content-Length: %d", size), "/chunked": "Transfer-Encoding: chunked"}
	atOnce(rows, func(path, framing string) {
		own, err := dial(t, p, clientConfig(alice, h1))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			fmt.Fprintf(own, "POST %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", path, framing)
			if path == "/chunked" {
				fmt.Fprintf(own, "%x\r\n", size)
			}
			for range size / 1000 {
				if _, err := own.Write(make([]byte, 1000)); err != nil {
					return
				}
			}
		}()
		own.SetReadDeadline(time.Now().Add(patience))
		got := make([]byte, 12)
		if _, err := io.ReadFull(own, got); err != nil || string(got) != "HTTP/1.1 403" {
			t.Errorf("%s: got %q, %v; want HTTP/1.1 403", path, got, err)
		}
		rest, _ := io.ReadAll(own)
		if !strings.Contains(string(rest), "Connection: close") || !strings.HasSuffix(string(rest), "no\n") {
			t.Errorf("%s: got %q, want Connection: close and the whole body", path, rest)
		}
	})
}
