//go:build linux

package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// raw sends one request line and headers as they stand, over a connection of its own, and returns
// the status of the answer.
func (a *asking) raw(holder *testpki.Pair, line string, headers ...string) string {
	a.Helper()
	c := tls.Client(a.dial(), &tls.Config{RootCAs: a.site.serve.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{holder.TLS()}})
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	host := strings.TrimPrefix(a.url, "https://")
	fmt.Fprintf(c, "%s\r\nHost: %s\r\nConnection: close\r\n", line, host)
	for _, h := range headers {
		io.WriteString(c, h+"\r\n")
	}
	io.WriteString(c, "\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return "closed"
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Status[:3]
}

// unescaped returns a target as it is decided: a gateway may escape more than the client did.
func unescaped(target string) string {
	out, err := url.PathUnescape(target)
	if err != nil {
		return target
	}
	return out
}

func (a *asking) dial() net.Conn {
	a.Helper()
	c, err := net.DialTimeout("tcp", strings.Replace(strings.TrimPrefix(a.url, "https://"), "localhost", "127.0.0.1", 1), 5*time.Second)
	if err != nil {
		a.Fatal(err)
	}
	return c
}

// Whatever a client writes in its request line, the service gets only the path and method that the
// port has allowed, as the user of the client's certificate.
// Covers E1, E2, E4, E5, E6, E7, E10, E13.
func TestRealGatewaysServeWhatWasDecided(t *testing.T) {
	t.Parallel()
	forEachAsking(t, func(t *testing.T, p *asking) {
		for _, row := range []struct{ line, reaches string }{ // reaches: the target at the service; "" is a refusal
			{"GET /whoami HTTP/1.1", "/whoami"}, {"HEAD /whoami HTTP/1.1", "/whoami"}, {"GET /whoami?x=/admin HTTP/1.1", "/whoami?x=/admin"},
			{"POST /orders/7 HTTP/1.1", "/orders/7"}, {"GET /orders/100%25 HTTP/1.1", "/orders/100%25"}, {"GET /orders/a;b HTTP/1.1", "/orders/a;b"}, {"GET /orders/é HTTP/1.1", "/orders/é"},
			{"GET http://localhost/whoami HTTP/1.1", "/whoami"}, // the gateway's own reading
			{"GET http://localhost/admin HTTP/1.1", ""}, {"GET https://other.example/whoami/x HTTP/1.1", ""},
			{"GET /whoami/../admin HTTP/1.1", ""}, {"GET /orders/../admin HTTP/1.1", ""}, {"GET /orders/..%2fadmin HTTP/1.1", ""}, {"GET /orders/%2e%2e/admin HTTP/1.1", ""},
			{"GET /orders%2f..%2fadmin HTTP/1.1", ""}, {"GET /orders/..;/admin HTTP/1.1", ""}, {"GET /orders/..;x=1/admin HTTP/1.1", ""}, {"GET /orders/.;/admin HTTP/1.1", ""}, {"GET /orders/..%3b/admin HTTP/1.1", ""},
			{`GET /orders\..\admin HTTP/1.1`, ""}, {"GET //admin HTTP/1.1", ""}, {"GET //orders/7 HTTP/1.1", ""}, {"GET /orders//../admin HTTP/1.1", ""}, {"GET /orders/./x HTTP/1.1", ""},
			{"GET /whoami#/../admin HTTP/1.1", ""}, {"GET /admin#/../whoami HTTP/1.1", ""}, {"GET /admin?/whoami HTTP/1.1", ""}, {"GET /admin%3f/whoami HTTP/1.1", ""},
			{"GET /whoami%00/admin HTTP/1.1", ""}, {"GET /orders/%0d%0aX HTTP/1.1", ""}, {"GET /orders/\xff HTTP/1.1", ""}, {"GET /orders/%ff HTTP/1.1", ""}, {"GET /orders/%zz HTTP/1.1", ""},
			{"GET admin HTTP/1.1", ""}, {"GET * HTTP/1.1", ""}, {"CONNECT localhost:443 HTTP/1.1", ""}, {"CONNECT /whoami HTTP/1.1", ""}, {"GET /whoami /admin HTTP/1.1", ""},
			{"get /whoami HTTP/1.1", ""}, {"Get /whoami HTTP/1.1", ""}, {"TRACE /whoami HTTP/1.1", ""}, {"PROPFIND /orders/7 HTTP/1.1", ""}, {"DELETE /orders/7 HTTP/1.1", ""}, {"GET /ORDERS/7 HTTP/1.1", ""},
			{"GET /mtlsguard HTTP/1.1", ""},
		} {
			p.taken()
			got := p.raw(p.alice, row.line)
			method, _, _ := strings.Cut(row.line, " ")
			switch requests := p.taken(); {
			case row.reaches == "" && (got == "200" || len(requests) > 0):
				t.Errorf("%q: status %s, and the service got %v", row.line, got, requests)
			case row.reaches != "" && (got != "200" || len(requests) != 1 || unescaped(requests[0].target) != unescaped(row.reaches) || requests[0].method != method || requests[0].user != "alice"):
				t.Errorf("%q: status %s, and the service got %v", row.line, got, requests)
			}
		}
	})
}

// A client's own copies of the headers change neither the gateway's question nor the user that the
// service gets, in any spelling.
// Covers E13, F1, F3, F4, F5, F13.
func TestRealGatewaysReplaceForgedQuestions(t *testing.T) {
	t.Parallel()
	forEachAsking(t, func(t *testing.T, p *asking) {
		question := strings.NewReplacer("{", "", "}", "", "method: ", "", "target: ", "").Replace(headersOfQuestions[p.name])
		method, target, _ := strings.Cut(question, ", ")
		spelled := func(names ...string) (out []string) {
			for _, n := range names {
				out = append(out, n, strings.ToLower(n), strings.ToUpper(n), strings.ReplaceAll(n, "-", "_"), strings.Replace(n, "-", "_", 1), strings.ReplaceAll(n, "-", "."))
			}
			return out
		}
		var forged [][]string
		for _, n := range spelled(target, "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Original-URI") {
			forged = append(forged, []string{n + ": /whoami"}, []string{n + ": /whoami", n + ": /whoami"}, []string{"Connection: " + n, n + ": /whoami"})
		}
		for _, n := range spelled(method, "X-HTTP-Method-Override", "X-HTTP-Method", "X-Forwarded-Method", "X-Original-Method") {
			forged = append(forged, []string{n + ": GET"}, []string{"Connection: " + n})
		}
		for _, n := range spelled("X-Mtlsguard-User", "X-Mtlsguard-Groups", "X-Mtlsguard-Mapping") {
			forged = append(forged, []string{n + ": root"}, []string{"Connection: " + n})
		}
		for _, n := range spelled(p.cert, "Client-Cert") {
			forged = append(forged, []string{n + ": " + p.forward(p.bob)}, []string{"Connection: " + n})
		}
		for _, headers := range forged {
			p.taken()
			// A denied request stays denied, whatever its headers.
			if got := p.raw(p.alice, "DELETE /admin HTTP/1.1", headers...); got != "403" && got != "400" {
				t.Errorf("%q: DELETE /admin: status %s", headers, got)
			}
			if r := p.taken(); len(r) > 0 {
				t.Errorf("%q: the service got %v", headers, r)
			}
			// One that is allowed arrives as alice's, or is refused.
			got := p.raw(p.alice, "GET /orders/7 HTTP/1.1", headers...)
			r := p.taken()
			if got == "400" && len(r) == 0 {
				continue
			}
			if got != "200" || len(r) != 1 || r[0].user != "alice" || r[0].mapping != "alice" || r[0].groups != "Authenticated,Everybody,staff" || r[0].spelled != "" {
				t.Errorf("%q: GET /orders/7: status %s, and the service got %+v", headers, got, r)
			}
		}
	})
}

// A quota refuses with 429 and Retry-After, and the gateway forwards both.
func TestRealGatewaysForwardQuotaRefusals(t *testing.T) {
	t.Parallel()
	forEachAsking(t, func(t *testing.T, p *asking) {
		for i := range 3 {
			got, res := p.send(p.alice, "GET", "/orders/7")
			if i < 2 && got != "200 alice" {
				t.Errorf("request %d: %s", i, got)
			}
			if i == 2 && (got != "429" || res.Header.Get("Retry-After") == "" || res.Header.Get("X-Mtlsguard-Reference") == "") {
				t.Errorf("the third request: %s %v", got, res.Header)
			}
		}
		if got, _ := p.send(p.bob, "GET", "/whoami"); got != "200 bob" {
			t.Errorf("bob: %s, want 200 bob", got)
		}
		if len(p.taken()) != 3 {
			t.Error("the service got another number of requests")
		}
	}, func(p *realGateway) {
		p.put(config, p.get(config)+"quotas:\n  - {name: few, rate: 2/h}\n")
	})
}

// A gateway whose question is not answered serves nothing.
func TestRealGatewaysServeNothingWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	forEachAsking(t, func(t *testing.T, p *asking) {
		if got, _ := p.send(p.alice, "GET", "/whoami"); got != "200 alice" {
			t.Fatal(got)
		}
		p.taken()
		p.live.end()
		testkit.Eventually(t, "the gateway refuses", func() bool {
			got, _ := p.send(p.alice, "GET", "/whoami")
			return strings.HasPrefix(got, "50")
		})
		if r := p.taken(); len(r) > 0 {
			t.Errorf("the service got %v", r)
		}
	})
}
