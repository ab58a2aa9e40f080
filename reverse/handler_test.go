package reverse_test

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"testing"
)

// testHandler has a path for each behaviour that the tests need.
type testHandler struct {
	began, cancelled chan struct{}
	release          chan struct{}
}

func newTestHandler() *testHandler {
	return &testHandler{began: make(chan struct{}, 1000), cancelled: make(chan struct{}, 1000), release: make(chan struct{})}
}

func (s *testHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	switch r.URL.Path {
	case "/wait": // begins, and answers when it is released
		s.began <- struct{}{}
		select {
		case <-s.release:
			io.WriteString(w, "done")
		case <-r.Context().Done():
			s.cancelled <- struct{}{}
		}
	case "/hang": // sends half of an answer and then hangs
		w.Header().Set("Content-Length", r.URL.Query().Get("length"))
		if r.URL.Query().Get("length") == "" {
			w.Header().Del("Content-Length")
		}
		io.WriteString(w, "half of it\n")
		control.Flush()
		s.began <- struct{}{}
		select {
		case <-s.release:
		case <-r.Context().Done():
			s.cancelled <- struct{}{}
		}
	case "/abort":
		if n := r.URL.Query().Get("length"); n != "" {
			w.Header().Set("Content-Length", n)
		}
		io.WriteString(w, "half of it\n")
		control.Flush()
		panic(http.ErrAbortHandler)
	case "/sum":
		h := sha256.New()
		io.Copy(h, r.Body)
		fmt.Fprintf(w, "%x", h.Sum(nil))
	case "/big":
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		io.CopyN(w, zeros{}, int64(n))
	case "/talk": // full duplex: each line is answered before the next
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			fmt.Fprintf(w, "received %s\n", lines.Text())
			control.Flush()
		}
	case "/trailers":
		w.Header().Set("Trailer", "Sum")
		io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%v", r.Trailer)
		w.Header().Set("Sum", "42")
		w.Header().Set(http.TrailerPrefix+"Late", "too")
	case "/early":
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		io.WriteString(w, "late")
	case "/close":
		w.Header().Set("Connection", "close")
		io.WriteString(w, "closed")
	case "/unread": // answers without reading the body
		s.began <- struct{}{}
		<-s.release
	case "/ws":
		websocket(w, r)
	default:
		echo(w, r)
	}
}

type zeros struct{}

// newDMZWithServer returns a DMZ with a server that serves h.
func newDMZWithServer(tb testing.TB, h http.Handler, options ...dmzOption) *dmz {
	tb.Helper()
	d := newDMZ(tb, options...)
	startConnected(tb, d.serverConfig(tb, orders, newGuard(tb).Handler(h), "orders"))
	return d
}
