package ports_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/ports"
)

const (
	slowBytes = 50_000
	slowRate  = 10_000 // bytes a second
)

// slowly answers with slowBytes in the way that the path selects.
func slowly(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/write":
		w.Write(bytes.Repeat([]byte("x"), slowBytes))
	case "/string":
		io.WriteString(w, strings.Repeat("x", slowBytes))
	case "/copy":
		io.Copy(w, io.LimitReader(exes{}, slowBytes))
	case "/file":
		f, err := os.CreateTemp("", "slow")
		if err != nil {
			return
		}
		defer os.Remove(f.Name())
		defer f.Close()
		f.WriteString(strings.Repeat("x", slowBytes))
		f.Seek(0, io.SeekStart)
		io.Copy(w, f)
	case "/parts":
		for range slowBytes / 100 {
			if _, err := io.WriteString(w, strings.Repeat("x", 100)); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}
}

type exes struct{}

func (exes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// Covers H15. A client that reads 10 kB a second gets the whole answer, with a short
// Limits.Idle and any size of the handler's writes.
func TestSlowClientGetsItsAnswer(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		rows := map[string]tlsOption{}
		for _, path := range []string{"/write", "/string", "/copy", "/file", "/parts"} {
			for protocol, o := range protocols {
				rows[path+" "+protocol] = o
			}
		}
		atOnce(rows, func(name string, o tlsOption) {
			path, protocol, _ := strings.Cut(name, " ")
			c, _ := config(t, ports.Require)
			c.Limits.Idle = time.Second
			p := onPipes(t, c, http.HandlerFunc(slowly)) // a kernel would buffer the whole answer
			own := connected(t, p, clientConfig(alice, o))
			start, n := time.Now(), 0
			if protocol == "h2" {
				n = own.takeWindows(path)
			} else {
				n = own.takeBytes(path)
			}
			if n != slowBytes || time.Since(start) < 3*time.Second {
				t.Errorf("%s: %d bytes of %d in %v", name, n, slowBytes, time.Since(start))
			}
		})
	})
}

// takeBytes reads an HTTP/1.1 answer at slowRate, and counts its bytes of body.
func (c *caller) takeBytes(path string) int {
	fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
	var got bytes.Buffer
	buf := make([]byte, slowRate/10)
	for {
		c.SetReadDeadline(time.Now().Add(patience))
		n, err := c.Read(buf)
		got.Write(buf[:n])
		if err != nil {
			_, body, _ := bytes.Cut(got.Bytes(), []byte("\r\n\r\n"))
			return bytes.Count(body, []byte("x"))
		}
		time.Sleep(time.Duration(n) * time.Second / slowRate)
	}
}

// takeWindows grants windows to an HTTP/2 answer at slowRate, and counts its bytes.
func (c *caller) takeWindows(path string) int {
	f := &framer{c}
	f.preface(setting{settingInitialWindow, 0})
	f.request(1, path, true)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				f.windowUpdate(0, slowRate/10)
				f.windowUpdate(1, slowRate/10)
			}
		}
	}()
	n := 0
	for head := make([]byte, 9); ; {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, head); err != nil {
			return n
		}
		size := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		if _, err := io.CopyN(io.Discard, c, int64(size)); err != nil {
			return n
		}
		switch {
		case head[3] == frameData:
			if n += size; head[4]&flagEndStream != 0 {
				return n
			}
		case head[3] == frameReset:
			return n
		}
	}
}

// Covers H15. A handler that works longer than Limits.Idle is not interrupted: it does
// not wait for the client.
func TestSlowHandlerIsServed(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c, _ := config(t, ports.Require)
		c.Limits.Idle = time.Second
		const work = 4500 * time.Millisecond // the first deadline of a stream is at 3 s
		p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/events": // longer than Limits.Idle between its events
				for range 3 {
					fmt.Fprint(w, "x")
					http.NewResponseController(w).Flush()
					time.Sleep(work / 3)
				}
			case "/conversation": // the client sends as rarely
				http.NewResponseController(w).Flush()
				io.Copy(w, r.Body)
			default:
				time.Sleep(work)
				fmt.Fprint(w, "xxx")
			}
		}))
		atOnce(map[string]tlsOption{"/ http/1.1": h1, "/ h2": h2only, "/events http/1.1": h1, "/events h2": h2only, "/conversation h2": h2only}, func(name string, o tlsOption) {
			path, _, _ := strings.Cut(name, " ")
			own := connected(t, p, clientConfig(alice, o))
			body, send := io.Pipe()
			defer body.Close()
			go func() {
				for range 3 {
					time.Sleep(work / 3)
					io.WriteString(send, "x")
				}
				send.Close()
			}()
			request, _ := http.NewRequest("GET", "https://localhost"+path, nil)
			if path == "/conversation" {
				request, _ = http.NewRequest("POST", "https://localhost"+path, body)
			}
			r, err := own.http.Do(request)
			if err != nil {
				t.Errorf("%s: the request: %v", name, err)
				return
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if string(got) != "xxx" || err != nil {
				t.Errorf("%s: got the body %q, %v; want xxx", name, got, err)
			}
		})
	})
}

// Covers H15. A stream without a window ends alone: another stream of the connection, which
// is served all the time, does not keep it open and is not interrupted.
func TestStreamWithoutWindowEndsAlone(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		c, _ := config(t, ports.Require)
		c.Limits.Idle = time.Second
		var stuck, busy atomic.Int64
		p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/busy" {
				busy.Store(1)
				defer busy.Store(0)
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 1000)); err != nil || http.NewResponseController(w).Flush() != nil {
						return
					}
					time.Sleep(100 * time.Millisecond)
				}
				return
			}
			stuck.Add(1)
			defer stuck.Add(-1)
			w.Write(make([]byte, 1<<20))
		}))
		own := connected(t, p, clientConfig(alice, h2only))
		f := &framer{own}
		f.preface(setting{settingInitialWindow, 0})
		f.windowUpdate(0, 1<<30)
		f.request(1, "/busy", true)
		f.windowUpdate(1, 1<<30)
		const streams = 50
		for i := range uint32(streams) {
			f.request(2*i+3, "/stuck", true)
		}
		resets := make(chan uint32, streams+1)
		go func() {
			for head := make([]byte, 9); ; {
				if _, err := io.ReadFull(own, head); err != nil {
					return
				}
				io.CopyN(io.Discard, own, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
				if head[3] == frameReset {
					resets <- binary.BigEndian.Uint32(head[5:])
				}
			}
		}()
		for n := range streams {
			select {
			case stream := <-resets:
				if stream == 1 {
					t.Fatal("the stream that is served was reset")
				}
			case <-time.After(patience):
				t.Fatalf("%d of %d streams were reset", n, streams)
			}
		}
		testkit.Eventually(t, "the handlers return", func() bool { return stuck.Load() == 0 })
		if !own.open() || busy.Load() == 0 {
			t.Error("the stream that is served has ended")
		}
	})
}

// Covers H15. A write deadline that a handler sets replaces Limits.Idle, longer or shorter.
func TestHandlersOwnDeadlineCounts(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		type row struct {
			protocol string
			own      time.Duration
		}
		rows := map[string]row{}
		for protocol := range protocols {
			for _, own := range []time.Duration{200 * time.Millisecond, 5 * time.Second} {
				rows[fmt.Sprintf("%s, %v", protocol, own)] = row{protocol, own}
			}
		}
		atOnce(rows, func(name string, row row) {
			own := row.own
			c := brisk(t, ports.Require)
			took := make(chan time.Duration, 1)
			p := onPipes(t, c, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				start := time.Now()
				if err := http.NewResponseController(w).SetWriteDeadline(start.Add(own)); err != nil {
					t.Error(err)
				}
				for range 1000 {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						break
					}
				}
				took <- time.Since(start)
			}))
			client := connected(t, p, clientConfig(alice, protocols[row.protocol]))
			if row.protocol == "h2" {
				f := &framer{client}
				f.preface(setting{settingInitialWindow, 0})
				f.request(1, "/", true)
				client.reading()
			} else {
				io.WriteString(client, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
			select {
			case after := <-took:
				if after < own-time.Second/10 || after > own+3*time.Second {
					t.Errorf("%s: the deadline ended the answer after %v", name, after)
				}
			case <-time.After(2 * patience):
				t.Errorf("%s: the handler still writes", name)
			}
		})
	})
}

// A read deadline that a handler sets replaces Limits.Idle on HTTP/2, as a write deadline
// does. Covers H15.
func TestHandlersOwnReadDeadlineCounts(t *testing.T) {
	onFakeClock(t, func(t *testing.T) {
		const own = 5 * time.Second
		took := make(chan time.Duration, 1)
		p := onPipes(t, brisk(t, ports.Require), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			if err := http.NewResponseController(w).SetReadDeadline(start.Add(own)); err != nil {
				t.Error(err)
			}
			_, _ = io.Copy(io.Discard, r.Body)
			took <- time.Since(start)
		}))
		client := connected(t, p, clientConfig(alice, h2only))
		f := &framer{client}
		f.preface()
		f.request(1, "/", false) // and no body
		client.reading()
		select {
		case after := <-took:
			if after < own-time.Second/10 || after > own+3*time.Second {
				t.Errorf("a deadline of %v ended the body after %v", own, after)
			}
		case <-time.After(2 * patience):
			t.Error("the handler still reads")
		}
	})
}
