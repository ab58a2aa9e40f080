package ports_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// brisk returns a configuration with limits that a test can wait for.
func brisk(t *testing.T, mode ports.ClientAuth) ports.Config {
	c, _ := config(t, mode)
	c.Limits.Headers, c.Limits.Idle, c.Limits.Drain = 500*time.Millisecond, 500*time.Millisecond, time.Second
	return c
}

// A body that never arrives does not delay the answer of a handler that does not read it: the
// answer is sent, and the connection ends. Limits.Request is 0 here, as it is by default.
// Covers H5.
func TestUnreadBodyDelaysNoAnswer(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		type row struct{ answer, head string }
		rows := map[string]row{}
		for _, answer := range []string{"no", strings.Repeat("x", 10_000)} { // more than net/http buffers, so that the handler waits
			for _, head := range []string{"Content-Length: 100", "Transfer-Encoding: chunked", "Content-Length: 100\r\nExpect: 100-continue"} {
				rows[fmt.Sprintf("%d bytes, %s", len(answer), head)] = row{answer, head}
			}
		}
		atOnce(rows, func(name string, row row) {
			p := onPipes(t, brisk(t, ports.Request), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(row.answer)))
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, row.answer)
			}))
			own := connected(t, p, clientConfig(nil, h1))
			io.WriteString(own, "POST / HTTP/1.1\r\nHost: localhost\r\n"+row.head+"\r\n\r\n")
			own.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(own)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 403") || !strings.Contains(string(got), row.answer) {
				t.Errorf("%s: got %.60q, %v; want 403 with %q", name, got, err, row.answer)
			}
			testkit.Eventually(t, "its slot is free", func() bool { return p.ConnCount() == 0 })
		})
	})
}

// A handler that reads the body has until Limits.Request, and the connection goes on.
// Covers H5.
func TestSlowBodyThatIsReadArrives(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		p := onPipes(t, brisk(t, ports.Require), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/later" {
				time.Sleep(700 * time.Millisecond) // longer than Limits.Headers, which bounds an unread body
			}
			b, err := io.ReadAll(r.Body)
			if r.ContentLength != 0 {
				time.Sleep(600 * time.Millisecond) // and the request must not be cancelled later
			}
			fmt.Fprintf(w, "%s %v %v", b, err, r.Context().Err())
		}))
		atOnce(map[string]tlsOption{"/ h1": h1, "/ h2": h2only, "/later h1": h1, "/later h2": h2only}, func(name string, o tlsOption) {
			path, _, _ := strings.Cut(name, " ")
			own := connected(t, p, clientConfig(alice, o))
			body, send := io.Pipe()
			go func() {
				for range 3 {
					time.Sleep(250 * time.Millisecond)
					io.WriteString(send, "x")
				}
				send.Close()
			}()
			r, err := own.http.Post("https://localhost"+path, "text/plain", body)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(r.Body)
			r.Body.Close()
			if string(got) != "xxx <nil> <nil>" {
				t.Errorf("%s: got %q, want the body xxx and no errors", name, got)
			}
			if got, _, err := own.get("/"); err != nil || got != " <nil> <nil>" {
				t.Errorf("%s, the next request: %q, %v", name, got, err)
			}
		})
	})
}

// With Limits.Request, a body that arrives byte by byte ends, read or not.
// Covers H5.
func TestRequestLimitEndsASlowBody(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		atOnce(protocols, func(name string, o tlsOption) {
			c := brisk(t, ports.Require)
			c.Limits.Request = 400 * time.Millisecond
			ended := make(chan error, 1)
			p := onPipes(t, c, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				ended <- err
			}))
			own := connected(t, p, clientConfig(alice, o))
			body, send := io.Pipe()
			defer body.Close()
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						send.Close()
						return
					case <-time.After(20 * time.Millisecond):
						send.Write([]byte("x"))
					}
				}
			}()
			go own.http.Post("https://localhost/", "text/plain", body)
			select {
			case err := <-ended:
				if err == nil {
					t.Errorf("%s: the body ended without an error", name)
				}
			case <-time.After(patience):
				t.Errorf("%s: the handler still reads", name)
			}
		})
	})
}

// The connection of a client that does not read its answer ends by Limits.Request, or by
// Limits.Idle if that is not set.
// Covers H5.
func TestClientThatReadsNothingIsClosed(t *testing.T) {
	t.Parallel()
	type row struct {
		protocol string
		limit    time.Duration
	}
	rows := map[string]row{}
	for protocol := range protocols {
		for _, limit := range []time.Duration{0, 500 * time.Millisecond} {
			rows[fmt.Sprintf("%s, %v", protocol, limit)] = row{protocol, limit}
		}
	}
	atOnce(rows, func(name string, row row) {
		c := brisk(t, ports.Require)
		c.Limits.Idle, c.Limits.Request = 2*time.Second, row.limit // two sweeps, the shortest time that the port measures
		ended := make(chan error, 1)
		p := onSmall(t, c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			var err error
			for n := 0; err == nil && n < 1000; n++ {
				_, err = w.Write(make([]byte, 64<<10))
			}
			ended <- err
		}))
		own := dialSmall(t, p, clientConfig(alice, protocols[row.protocol]))
		if row.protocol == "h2" {
			// Frames written by hand, with windows so large that only the connection blocks the answer.
			f := &framer{own}
			f.preface(setting{4, 1<<31 - 1})
			f.windowUpdate(0, 1<<31-1-65535)
			f.request(1, "/", true)
		} else {
			io.WriteString(own, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the whole answer was sent: this test checks nothing", name)
			}
		case <-time.After(patience):
			t.Errorf("%s: the handler still writes", name)
			return
		}
		testkit.Eventually(t, "its slot is free", func() bool { return p.ConnCount() == 0 })
	})
}

// A client that reads slowly is served.
// Covers H5.
func TestSlowReaderIsServed(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		const size = 300_000
		c := brisk(t, ports.Require)
		c.Limits.Headers, c.Limits.Idle = patience, time.Second
		p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) }))
		own := connected(t, p, clientConfig(alice, h1))
		io.WriteString(own, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		start, n := time.Now(), 0
		var err error
		for buf := make([]byte, 4<<10); err == nil; time.Sleep(20 * time.Millisecond) {
			var m int
			own.SetReadDeadline(time.Now().Add(patience))
			m, err = own.Read(buf)
			n += m
		}
		if n < size || time.Since(start) < c.Limits.Idle {
			t.Errorf("%d bytes of %d in %v", n, size, time.Since(start))
		}
	})
}

// The connection of a client that pipelines many requests and reads no answer ends too.
// Covers H5.
func TestUnreadPipelineIsClosed(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		p := onPipes(t, brisk(t, ports.Request), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("no ", 500), http.StatusForbidden)
		}))
		own := connected(t, p, clientConfig(nil, h1))
		request := strings.Repeat("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 100)
		own.SetWriteDeadline(time.Now().Add(patience))
		for {
			if _, err := io.WriteString(own, request); err != nil {
				break
			}
		}
		testkit.Eventually(t, "its slot is free", func() bool { return p.ConnCount() == 0 })
	})
}
