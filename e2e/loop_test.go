package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A service that is a proxy, and leads back to the port, gets each request once. Another port of
// the same server is no loop.
// Covers Y14.
func TestLoopIsRefused(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	var next atomic.Pointer[httputil.ReverseProxy]
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/end" {
			w.Header().Set("Got", r.Header.Get("Via"))
			return
		}
		if asked.Add(1) > 10 {
			t.Error("the loop goes on")
			return
		}
		next.Load().ServeHTTP(w, r)
	}))
	defer proxy.Close()
	l := newUpstreamSite(t, proxy.URL).start(mtlsguard.Options{})
	to := func(port, path string) {
		target, err := url.Parse(l.url(port, ""))
		if err != nil {
			t.Fatal(err)
		}
		next.Store(&httputil.ReverseProxy{Transport: l.client(l.alice).Transport, Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			if path != "" {
				pr.Out.URL.Path = path
			}
		}})
	}
	for _, options := range [][]testkit.ClientOption{nil, {testkit.HTTP2}} {
		asked.Store(0)
		to("internal", "")
		status, _, body := send(t, l.client(l.alice, options...), "GET", l.url("internal", "/orders/7"), "Via", "1.1 first (a comment), 1.0 second")
		if status != http.StatusLoopDetected || asked.Load() != 1 || !strings.Contains(body, `"reason":"upstream"`) {
			t.Errorf("%d after %d calls: %s", status, asked.Load(), body)
		}
		to("public", "/end")
		if status, _, body := send(t, l.client(l.alice, options...), "GET", l.url("internal", "/orders/7")); status != 200 {
			t.Errorf("through two ports: %d %s", status, body)
		}
	}
	if !strings.Contains(l.log.text(), `leads back here`) {
		t.Error(l.log.text())
	}
	res, err := l.client(l.alice).Get(l.url("internal", "/end"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got := res.Header.Get("Got"); !strings.HasPrefix(got, "1.1 mtlsguard-") || !strings.HasSuffix(got, "-internal") {
		t.Errorf("Via: %q", got)
	}
}
