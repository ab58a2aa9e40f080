package ports_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

// named returns a literal header field of HPACK with a short name and value.
func named(name, value string) []byte {
	return append(append([]byte{0, byte(len(name))}, name...), append([]byte{byte(len(value))}, value...)...)
}

// Covers H19. net/http keeps the trailers of a request as long as the stream is
// open, so a client that grants no window must not keep the stream for Limits.Idle.
func TestStreamsWithTrailersEndSoon(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		type row struct {
			size int  // of the answer; a large one waits for the window
			ends bool // the request has no body
		}
		rows := map[string]row{}
		for _, size := range []int{10, 100_000} {
			for _, ends := range []bool{false, true} {
				rows[fmt.Sprintf("%d bytes, %t", size, ends)] = row{size, ends}
			}
		}
		atOnce(rows, func(name string, row row) {
			c, _ := config(t, ports.None) // Limits.Idle is two minutes
			p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, strings.Repeat("x", row.size))
			}))
			own := connected(t, p, clientConfig(nil, h2only))
			start := time.Now()
			f := &framer{own}
			f.preface(setting{settingInitialWindow, 0})
			flags := byte(flagEndHeaders)
			if row.ends {
				flags |= flagEndStream
			}
			f.frame(frameHeaders, flags, 1, append(getHead("/"), named("trailer", "a")...))
			if !row.ends {
				f.frame(frameHeaders, flagEndHeaders|flagEndStream, 1, named("a", "b"))
			}
			head := make([]byte, 9)
			for {
				if _, err := io.ReadFull(own, head); err != nil {
					t.Errorf("%s: the stream was not reset: %v", name, err)
					return
				}
				if head[3] == frameReset && binary.BigEndian.Uint32(head[5:]) == 1 {
					break
				}
				io.CopyN(io.Discard, own, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			}
			within(t, name, time.Since(start), 0, 7*time.Second)
		})
	})
}

// Covers H19. Too many announced trailers are refused: their map is many times as large as
// their names.
func TestManyTrailersAreRefused(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.None)
	p := newPort(t, c)
	serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), p)
	for _, version := range []tlsOption{h1, h2only} {
		own, err := dial(t, p, clientConfig(nil, version))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{100, 101} { // in this order: a refusal may end the connection
			send := func() (int, error) {
				r, _ := http.NewRequest("POST", "https://localhost/", io.NopCloser(strings.NewReader("x")))
				r.Trailer = http.Header{}
				for i := range n {
					r.Trailer.Set(fmt.Sprint("a", i), "")
				}
				res, err := own.http.Do(r)
				if err != nil {
					return 0, err
				}
				return res.StatusCode, res.Body.Close()
			}
			if code, err := send(); (n > 100) != (err != nil || code == 431) {
				t.Errorf("%d names: %d, %v", n, code, err)
			}
		}
	}
}

// Covers M3. A handler around the one of Configure, such as an access log, can read the
// request after its answer.
func TestRequestAfterItsAnswer(t *testing.T) {
	t.Parallel()
	c, _ := config(t, ports.None)
	p := newPort(t, c)
	l, err := p.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "served") })}
	if err := p.Configure(srv); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	configured := srv.Handler
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				seen <- fmt.Sprint("panic: ", v)
			}
		}()
		configured.ServeHTTP(w, r)
		_, ok := ports.FromContext(r.Context())
		r.Header.Set("A", "b")
		r.Body.Close()
		seen <- fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Host, " ", r.Proto, " ", ok)
	})
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	for _, row := range []struct {
		option tlsOption
		path   string
		want   string
	}{
		{h1, "/x", "GET /x localhost HTTP/1.1 true"},
		{h2only, "/x", "GET /x localhost HTTP/2.0 true"},
		{h2only, "/" + strings.Repeat("x", 2000), "GET   HTTP/2.0 true"}, // too large to keep
	} {
		own, err := dial(t, p, clientConfig(nil, row.option))
		if err != nil {
			t.Fatal(err)
		}
		own.SetDeadline(time.Now().Add(patience))
		if _, _, err := own.get(row.path); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != row.want {
			t.Errorf("%q, want %q", got, row.want)
		}
		own.Close()
	}
}
