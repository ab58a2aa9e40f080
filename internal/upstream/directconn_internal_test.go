package upstream

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A connection is closed idleTime after its last request, those used later stay; beyond maxIdle,
// and after close, none is kept.
func TestIdleConnectionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var idle idleConns
		add := func() (service net.Conn) {
			client, service := net.Pipe()
			idle.put(newDirectConn(client, &direct{}))
			return service
		}
		closed := func(service net.Conn) bool {
			return service.SetReadDeadline(time.Time{}) == io.ErrClosedPipe // of either end
		}
		first := add()
		time.Sleep(idleTime / 2)
		second := add()
		for _, row := range []struct {
			after         time.Duration
			first, second bool
		}{
			{idleTime/2 - 1, false, false},
			{1, true, false},
			{idleTime/2 - 1, true, false},
			{1, true, true},
		} {
			time.Sleep(row.after)
			synctest.Wait()
			if got := closed(first); got != row.first {
				t.Errorf("%s later, the first is closed: %t, want %t", row.after, got, row.first)
			}
			if got := closed(second); got != row.second {
				t.Errorf("%s later, the second is closed: %t, want %t", row.after, got, row.second)
			}
		}
		if idle.timer != nil || idle.last() != nil {
			t.Errorf("a timer or a connection is left: %+v", &idle)
		}
		kept := add()
		for range maxIdle - 1 {
			add()
		}
		if !closed(add()) {
			t.Errorf("more than %d connections are kept", maxIdle)
		}
		idle.close()
		if !closed(kept) {
			t.Error("a connection is kept after close")
		}
		if !closed(add()) {
			t.Error("a connection is kept that comes after close")
		}
		synctest.Wait()
		time.Sleep(idleTime) // the timer that close leaves finds nothing
	})
}

// After an answer without a body a connection is not used for a while, and again then.
// Covers Y9.
func TestConnectionsSettleAfterAnswersWithoutBody(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("From", r.RemoteAddr)
		w.WriteHeader(map[string]int{"/204": http.StatusNoContent, "/304": http.StatusNotModified}[r.URL.Path])
	}))
	defer service.Close()
	for _, row := range []struct {
		settle time.Duration
		same   bool
	}{{time.Hour, false}, {time.Nanosecond, true}} {
		for _, path := range []string{"/204", "/304"} {
			d := Plain(Address{Host: strings.TrimPrefix(service.URL, "http://")}, false, testkit.Patience).(*direct)
			d.settle = row.settle
			from := func() string {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				res, err := d.send(r)
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				return res.Header.Get("From")
			}
			seen := map[string]bool{}
			again := func() bool {
				connection := from()
				defer func() { seen[connection] = true }()
				return seen[connection]
			}
			again()
			if row.same {
				testkit.Eventually(t, "a connection is used again", again)
			} else if again() {
				t.Errorf("%s: the connection is used again at once", path)
			}
			d.CloseIdleConnections()
		}
	}
}
