package upstream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// rawService starts a service that writes its answers as they stand.
func rawService(tb testing.TB, answer func(*http.Request) string) upstream.Address {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					if _, err := io.WriteString(c, answer(r)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return upstream.Address{Host: listener.Addr().String()}
}

// serve starts a server that forwards to a service, as a user, with a header that a guard has set.
func serve(tb testing.TB, c upstream.Config, user string) string {
	u := upstream.New(c)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Client-Cert")
		u.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, &identity.Identity{User: user})))
	}))
	tb.Cleanup(server.Close)
	return server.URL
}

// via returns the settings of an Upstream for a service of HTTP/1.1.
func via(a upstream.Address) upstream.Config {
	const wait = testkit.Patience
	return upstream.Config{Scheme: "http", Host: "service", Via: upstream.Plain(a, false, wait), Headers: defaults, Idle: wait, Timeout: wait, Requests: 1000, Retries: 1}
}

// A faulty service sends more than its answer, such as a body after an answer to HEAD. Bytes for
// one caller are never the answer to another. Covers Y9.
func TestSurplusOfAnAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!"
	url := serve(t, via(rawService(t, func(r *http.Request) string {
		switch r.URL.Path {
		case "/204":
			return "HTTP/1.1 204 No Content\r\n\r\n" + evil
		case "/304":
			return "HTTP/1.1 304 Not Modified\r\n\r\n" + evil
		case "/long":
			return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + evil
		case "/head":
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(evil), evil)
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	})), "alice")
	log.SetOutput(io.Discard) // net/http writes what it closes a connection for
	var load sync.WaitGroup
	var good, other atomic.Int64
	for i := range 12 {
		c := &http.Client{Transport: &http.Transport{}, Timeout: testkit.Patience}
		t.Cleanup(c.CloseIdleConnections)
		load.Go(func() {
			for range 150 {
				path, method := []string{"/204", "/304", "/long", "/head", "/", "/"}[i%6], "GET"
				if path == "/head" {
					method = "HEAD"
				}
				r, _ := http.NewRequestWithContext(t.Context(), method, url+path, nil)
				res, err := c.Do(r)
				if err != nil {
					continue // the service's own fault
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				if path == "/" && string(body) == "good" {
					good.Add(1)
				} else if strings.Contains(string(body), "evil") || path == "/" {
					other.Add(1)
				}
			}
		})
	}
	load.Wait()
	if other.Load() > 0 || good.Load() != 600 {
		t.Errorf("%d answers of 600 are right, %d are another request's", good.Load(), other.Load())
	}
}

// Informational answers arrive, without the headers that concern one connection, and do not
// remove what the guard has set. A client of HTTP/1.0 gets none.
// Covers Y10.
func TestInformationalAnswers(t *testing.T) {
	t.Parallel()
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nConnection: close\r\nKeep-Alive: timeout=5\r\n\r\n"
	url := serve(t, via(rawService(t, func(r *http.Request) string {
		if r.URL.Path == "/broken" {
			return hints + "HTTP/1.1 099 None\r\nContent-Length: 0\r\n\r\n"
		}
		return strings.Repeat(hints, 3) + "HTTP/1.1 200 OK\r\nVary: Accept\r\nContent-Length: 2\r\n\r\nok"
	})), "alice")
	for _, row := range []struct{ request, want string }{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 103 Early Hints, Link: </style.css>, Vary: Client-Cert; " + strings.Repeat("HTTP/1.1 103 Early Hints, Link: </style.css>; ", 2) + "HTTP/1.1 200 OK, Vary: Client-Cert, Vary: Accept; "},
		{"GET / HTTP/1.0\r\nHost: x\r\n\r\n", "HTTP/1.0 200 OK, Vary: Client-Cert, Vary: Accept; "},
		{"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 103 Early Hints, Link: </style.css>, Vary: Client-Cert; HTTP/1.1 502 Bad Gateway, Vary: Client-Cert; "},
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(testkit.Patience))
		_, _ = io.WriteString(c, row.request)
		got, in := "", bufio.NewReader(c)
		for !strings.Contains(got, "200 OK") && !strings.Contains(got, "502") {
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(got, err)
			}
			for line != "\r\n" {
				if name, _, _ := strings.Cut(line, ":"); !strings.Contains("Date Content-Length Content-Type Cache-Control X-Content-Type-Options", name) {
					got += strings.TrimSpace(line) + ", "
				}
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatal(got, err)
				}
			}
			got = strings.TrimSuffix(got, ", ") + "; "
		}
		if got != row.want {
			t.Errorf("%q:\ngot  %s\nwant %s", row.request, got, row.want)
		}
	}
}

// Answers before the answer do not prolong the time for it.
// Covers Y10.
func TestEndlessInformationalAnswersEnd(t *testing.T) {
	t.Parallel()
	a := rawService(t, func(*http.Request) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000) })
	c := via(a)
	c.Via = upstream.Plain(a, false, 200*time.Millisecond)
	res, err := http.Get(serve(t, c, "alice"))
	if err == nil {
		defer res.Body.Close()
	}
	if err == nil && res.StatusCode != http.StatusGatewayTimeout {
		t.Error(res.Status)
	}
}
