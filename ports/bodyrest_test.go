package ports_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers K13. A handler with full duplex has sent its answer when the deadline for the rest
// of the body passes, or when a chunk or trailer is malformed. net/http then considers the
// connection ready for a request, but the following bytes are never read as one.
func TestRestOfABodyIsNoRequest(t *testing.T) {
	type row struct {
		request time.Duration
		head    string
		body    string
		reads   bool // the handler reads, until an error or the end
		late    bool // the rest arrives after the deadline
	}
	rows := map[string]row{}
	for name, r := range map[string]row{
		"chunk, late":    {head: "Transfer-Encoding: chunked", body: "1000\r\nabc", late: true},
		"length, late":   {head: "Content-Length: 1000", body: "abc", late: true},
		"chunk, early":   {head: "Transfer-Encoding: chunked", body: "1000\r\nabc"},
		"bad chunk":      {head: "Transfer-Encoding: chunked", body: "3\r\nabc\r\nzz\r\n"},
		"bad trailer":    {head: "Transfer-Encoding: chunked", body: "3\r\nabc\r\n0\r\nnone\r\n"},
		"long trailer":   {head: "Transfer-Encoding: chunked", body: "3\r\nabc\r\n0\r\nX: " + strings.Repeat("x", 8192) + "\r\n"},
		"length, pieces": {head: "Content-Length: 1000", body: strings.Repeat("x", 300)},
	} {
		for _, request := range []time.Duration{0, 200 * time.Millisecond} {
			for _, reads := range []bool{false, true} {
				r.request, r.reads = request, reads
				rows[fmt.Sprintf("%s, %v, reads %t", name, request, reads)] = r
			}
		}
	}
	onFakeClock(t, func(t *testing.T) {
		atOnce(rows, func(name string, row row) {
			c := brisk(t, ports.None)
			c.Limits.Headers, c.Limits.Request = 500*time.Millisecond, row.request
			var smuggled atomic.Int64
			p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == "DELETE" {
					smuggled.Add(1)
				}
				control := http.NewResponseController(w)
				_ = control.EnableFullDuplex()
				io.WriteString(w, "early")
				_ = control.Flush()
				if row.reads {
					_ = control.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
					io.Copy(io.Discard, r.Body)
				}
			}))
			own := connected(t, p, clientConfig(nil, h1))
			own.SetDeadline(time.Now().Add(patience))
			go func() {
				io.WriteString(own, "POST / HTTP/1.1\r\nHost: localhost\r\n"+row.head+"\r\n\r\n"+row.body)
				if row.late {
					time.Sleep(700 * time.Millisecond) // longer than both limits
				}
				io.WriteString(own, strings.Repeat("DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 3))
			}()
			answers := bufio.NewReader(own)
			res, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Errorf("%s: the answer: %v", name, err)
				return
			}
			io.Copy(io.Discard, res.Body)
			io.Copy(io.Discard, answers) // the connection ends
			testkit.Eventually(t, name+": the connection ends", func() bool { return p.ConnCount() == 0 })
			if n := smuggled.Load(); n > 0 {
				t.Errorf("%s: %d requests out of a body", name, n)
			}
		})
	})
}

// A goroutine that outlives its handler reads nothing of the next request, and does not
// remove a deadline of it.
func TestReadersThatOutliveTheirHandler(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c := brisk(t, ports.None)
		c.Limits.Headers = 200 * time.Millisecond
		leave, read := make(chan struct{}), make(chan error, 1)
		p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/left" {
				go func() {
					<-leave
					_, err := r.Body.Read(make([]byte, 10))
					read <- err
				}()
			}
		}))
		own := connected(t, p, clientConfig(nil, h1))
		own.SetDeadline(time.Now().Add(patience))
		io.WriteString(own, "POST /left HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc")
		answers := bufio.NewReader(own)
		if _, err := http.ReadResponse(answers, nil); err != nil {
			t.Fatal(err)
		}
		io.WriteString(own, "POST / HTTP/1.1\r\nHost: localhost\r\n") // the next request, limited by Limits.Headers
		time.Sleep(20 * time.Millisecond)
		close(leave)
		if err := <-read; err == nil {
			t.Error("the goroutine reads the next request")
		}
		began := time.Now()
		io.Copy(io.Discard, answers)
		if took := time.Since(began); took > patience/2 {
			t.Errorf("the head of the next request had %v", took)
		}
		testkit.Eventually(t, "the connection ends", func() bool { return p.ConnCount() == 0 })
	})
}

// Covers H21. A handler may read or close a body again after its end. This sets no deadline,
// which would end the request's context.
func TestBodyThatHasEndedHasNoDeadline(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		type use = func(http.ResponseWriter, *http.Request)
		discard := func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }
		closes := func(_ http.ResponseWriter, r *http.Request) { r.Body.Close() }
		half := func(_ http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 2)) }
		flush := func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() } // net/http itself reads the rest
		large := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat(" ", 100_000)) }
		text := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, " ") }
		rows := map[string][]use{
			"read": {discard}, "closed": {closes}, "read, then closed": {discard, closes}, "read twice": {discard, discard}, "closed twice": {closes, closes}, "closed, then read": {closes, discard},
			"answered": {flush}, "answered at length": {large}, "answered twice": {flush, text, flush}, "half read, then answered": {half, flush}, "answered, then read": {flush, discard},
			"answered, then closed": {flush, closes}, "read, then answered": {discard, flush},
		}
		atOnce(rows, func(name string, all []use) {
			c := brisk(t, ports.None)
			c.Limits.Headers, c.Limits.Idle = 100*time.Millisecond, 100*time.Millisecond
			p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					for _, use := range all {
						use(w, r)
					}
				}
				select {
				case <-r.Context().Done():
					io.WriteString(w, "cancelled")
				case <-time.After(500 * time.Millisecond): // longer than both limits
					io.WriteString(w, "served")
				}
			}))
			own := connected(t, p, clientConfig(nil, h1))
			res, err := own.http.Post("https://localhost/", "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Errorf("%s: the request: %v", name, err)
				return
			}
			if body, err := io.ReadAll(res.Body); strings.TrimSpace(string(body)) != "served" {
				t.Errorf("%s: %d bytes, %q, %v", name, len(body), strings.TrimSpace(string(body)), err)
			}
			if res, err = own.http.Get("https://localhost/"); err != nil { // on the same connection
				t.Errorf("%s: the next request: %v", name, err)
				return
			}
			if body, err := io.ReadAll(res.Body); string(body) != "served" {
				t.Errorf("%s, the next request: %q, %v", name, body, err)
			}
		})
	})
}
