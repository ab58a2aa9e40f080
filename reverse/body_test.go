package reverse_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestLargeBodiesAreForwardedWhole(t *testing.T) {
	t.Parallel()
	size := 4 << 20
	if *full {
		size = 64 << 20
	}
	d := newDMZWithServer(t, newTestHandler())
	onBothVersions(t, func(t *testing.T, h2 bool) {
		c := d.client(t, alice, h2)
		data := make([]byte, size)
		rand.Read(data)
		s := c.do(c.request("POST", "/sum", bytes.NewReader(data)))
		if want := fmt.Sprintf("%x", sha256.Sum256(data)); s.Body != want {
			t.Errorf("the sum of %d bytes is %s, want %s", size, s.Body, want)
		}
		s = c.do(c.request("POST", "/sum", io.MultiReader(bytes.NewReader(data)))) // of unknown length
		if want := fmt.Sprintf("%x", sha256.Sum256(data)); s.Body != want {
			t.Errorf("the sum of %d bytes is %s, want %s", size, s.Body, want)
		}
		if s := c.get("/big?n=" + strconv.Itoa(size)); len(s.Body) != size {
			t.Errorf("%d bytes, want %d", len(s.Body), size)
		}
	})
}

func TestTrailersAreForwarded(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	onBothVersions(t, func(t *testing.T, h2 bool) {
		c := d.client(t, alice, h2)
		r := c.request("POST", "/trailers", io.MultiReader(strings.NewReader("body")))
		r.Trailer = http.Header{"Up": nil, "Client-Cert": nil, "X-Mtls-Caller": nil}
		r.Body = &atEOF{r.Body, func() {
			r.Trailer["Up"], r.Trailer["Client-Cert"], r.Trailer["X-Mtls-Caller"] = []string{"there"}, []string{"victim"}, []string{"none"}
		}}
		res := must[*http.Response](t)(c.http.Do(r))
		defer res.Body.Close()
		body := must[[]byte](t)(io.ReadAll(res.Body))
		if string(body) != "map[Up:[there]]" {
			t.Errorf("the handler saw %s", body)
		}
		if res.Trailer.Get("Sum") != "42" || res.Trailer.Get("Late") != "too" {
			t.Errorf("trailers of the answer: %v", res.Trailer)
		}
	})
}

// Otherwise the handler's read of the request would never end.
//
// Covers K22.
func TestTrailersWithoutABodyAreDropped(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	onBothVersions(t, func(t *testing.T, h2 bool) {
		s := d.client(t, alice, h2).do(d.client(t, alice, h2).request("POST", "/trailers", nil, header("Trailer", "Up")))
		if s.Code != 200 || s.Body != "map[]" {
			t.Errorf("answered %d, %q", s.Code, s.Body)
		}
	})
}

type atEOF struct {
	io.ReadCloser
	f func()
}

func (a *atEOF) Read(b []byte) (int, error) {
	n, err := a.ReadCloser.Read(b)
	if err == io.EOF {
		a.f()
	}
	return n, err
}

func TestFullDuplexIsForwarded(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	onBothVersions(t, func(t *testing.T, h2 bool) {
		if !h2 {
			fullDuplexHTTP1(t, d)
			return
		}
		body, upload := io.Pipe()
		c := d.client(t, alice, h2)
		res := make(chan *http.Response, 1)
		go func() {
			r, err := c.http.Do(c.request("POST", "/talk", body))
			if err != nil {
				t.Error(err)
				close(res)
				return
			}
			res <- r
		}()
		fmt.Fprintln(upload, "first")
		r, ok := <-res
		if !ok {
			return
		}
		defer r.Body.Close()
		lines := bufio.NewScanner(r.Body)
		for i, line := range []string{"first", "second", "third"} {
			if i > 0 {
				fmt.Fprintln(upload, line)
			}
			if !lines.Scan() || lines.Text() != "received "+line {
				t.Fatalf("got %q, %v; want received %s", lines.Text(), lines.Err(), line)
			}
		}
		upload.Close()
		if lines.Scan() || lines.Err() != nil {
			t.Errorf("got %q, %v; want the end of the answer", lines.Text(), lines.Err())
		}
	})
}

// fullDuplexHTTP1 writes the request by hand: the client of net/http is not full duplex.
func fullDuplexHTTP1(t *testing.T, d *dmz) {
	c := dialRaw(t, d, alice)
	io.WriteString(c, "POST /talk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	send := func(s string) { fmt.Fprintf(c, "%x\r\n%s\n\r\n", len(s)+1, s) }
	send("first")
	res := must[*http.Response](t)(http.ReadResponse(c.r, nil))
	lines := bufio.NewScanner(res.Body)
	for i, line := range []string{"first", "second"} {
		if i > 0 {
			send(line)
		}
		if !lines.Scan() || lines.Text() != "received "+line {
			t.Fatalf("got %q, %v; want received %s", lines.Text(), lines.Err(), line)
		}
	}
	io.WriteString(c, "0\r\n\r\n")
	if lines.Scan() || lines.Err() != nil {
		t.Errorf("got %q, %v; want the end of the answer", lines.Text(), lines.Err())
	}
}

// rawConn is a client that writes HTTP/1.1 by hand.
type rawConn struct {
	*tls.Conn
	r *bufio.Reader
}

func dialRaw(tb testing.TB, d *dmz, p *testpki.Pair) *rawConn {
	tb.Helper()
	cfg := clientConfig(p)
	cfg.NextProtos = []string{"http/1.1"}
	c := must[*tls.Conn](tb)(tls.Dial("tcp", d.external.Addr().String(), cfg))
	tb.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &rawConn{c, bufio.NewReader(c)}
}

func TestEarlyHintsAreForwarded(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	onBothVersions(t, func(t *testing.T, h2 bool) {
		if s := d.client(t, alice, h2).get("/early"); s.Body != "late" || s.Answer.Get("Link") != "" {
			t.Errorf("answered %q with %v, want late without Link", s.Body, s.Answer)
		}
	})
}

// An answer that ends early never looks complete, with a Content-Length and without one.
func TestBrokenAnswerNeverLooksComplete(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	for _, target := range []string{"/abort", "/abort?length=1000"} {
		t.Run(target, func(t *testing.T) {
			onBothVersions(t, func(t *testing.T, h2 bool) {
				c := d.client(t, alice, h2)
				res, err := c.http.Do(c.request("GET", target, nil))
				if err != nil {
					return // aborted before the answer began
				}
				defer res.Body.Close()
				if body, err := io.ReadAll(res.Body); err == nil {
					t.Errorf("a clean end after %q", body)
				}
			})
		})
	}
	testkit.Eventually(t, "events", func() bool { return d.events.count("failed") >= 4 })
}

func TestCancellationReachesTheHandler(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, h2 bool) {
		s := newTestHandler() // its channels are this caller's
		d := newDMZWithServer(t, s)
		for _, target := range []string{"/wait", "/hang"} {
			ctx, cancel := context.WithCancel(t.Context())
			c := d.client(t, alice, h2)
			ended := make(chan error, 1)
			go func() {
				res, err := c.http.Do(c.request("GET", target, nil).WithContext(ctx))
				if err == nil {
					_, err = io.Copy(io.Discard, res.Body)
					res.Body.Close()
				}
				ended <- err
			}()
			<-s.began
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want a cancelled request", target, err)
			}
			select {
			case <-s.cancelled:
			case <-time.After(patience):
				t.Errorf("%s: the handler is still running", target)
			}
		}
	})
}

// Otherwise "Connection: close" would end the tunnel, which other callers share.
func TestHandlerCannotEndTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	c := d.client(t, alice, true)
	for range 10 {
		if s := c.get("/close"); s.Body != "closed" {
			t.Fatalf("answered %d %q, want closed", s.Code, s.Body)
		}
	}
	if n := d.events.count("registered"); n != 1 {
		t.Errorf("%d tunnels were registered, want 1", n)
	}
}

func TestTargetsAreForwardedUnchanged(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, echo)
	onBothVersions(t, func(t *testing.T, h2 bool) {
		for target, code := range map[string]int{
			"/a/b?x=1": 200, "/a%20b": 200, "/a;b=c": 200, "/%E2%82%AC": 200, "/a%25": 200, "/x?a;b&%zz": 200,
			"/a%2fb": 400, "//a": 400, "/a/../b": 400, "/a/%2e%2e/b": 400, "/a//b": 400, "/a%5cb": 400, "/a%00": 400, "/.": 400, "/a/.": 400,
		} {
			c := d.client(t, alice, h2)
			r := c.request("GET", "/", nil)
			r.URL.Opaque = "//" + r.URL.Host + target // unchanged
			if path, query, ok := strings.Cut(target, "?"); ok {
				r.URL.Opaque, r.URL.RawQuery = "//"+r.URL.Host+path, query
			}
			s := c.do(r)
			if s.Code != code || code == 400 && s.Reason != "ambiguous-path" {
				t.Errorf("%s: answered %d %s, want %d", target, s.Code, s.Body, code)
			}
			if _, query, ok := strings.Cut(target, "?"); ok && s.Query != query {
				t.Errorf("%s: the query is %q", target, s.Query)
			}
		}
		if s := d.client(t, alice, h2).do(optionsStar(d, t, h2)); s.Code != 403 || s.Reason != "no-rule" {
			t.Errorf("OPTIONS *: %d %s", s.Code, s.Body) // the policy has no rule for it
		}
	})
}

func optionsStar(d *dmz, t *testing.T, h2 bool) *http.Request {
	r := d.client(t, alice, h2).request("OPTIONS", "/", nil)
	r.URL.Opaque = "*"
	return r
}

// A client that gets an answer before it has sent the whole body gets the whole answer.
func TestEarlyAnswerToAnUploadIsReadWhole(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	for target, want := range map[string]string{"/early": "late", "/trailers-not": `"Path":"/trailers-not"`, "/close": "closed"} {
		c := dialRaw(t, d, alice)
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", target)
		if target == "/trailers-not" {
			io.WriteString(c, "0\r\n\r\n") // the echo reads it all
		}
		for {
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatalf("%s: the answer: %v", target, err)
			}
			if res.StatusCode < 200 {
				continue
			}
			if body, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(body), want) {
				t.Errorf("%s: got %q, %v; want %q", target, body, err, want)
			}
			break
		}
	}
}
