//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// asking is a real gateway that asks the port "internal" about every request, in front of a
// service without TLS.
type asking struct {
	*realGateway
	mu     sync.Mutex
	served []served // what the service got
}

// served is a request that reached the service, with the headers that name the user.
type served struct{ method, target, user, groups, mapping, spelled string }

func (s served) String() string { return fmt.Sprintf("%s %s as %s", s.method, s.target, s.user) }

// headersOfQuestions are the headers in which each gateway asks, as docs/ask.md shows them.
var headersOfQuestions = map[string]string{
	"nginx": "{method: X-Original-Method, target: X-Original-URI}",
	"caddy": "{method: X-Forwarded-Method, target: X-Forwarded-Uri}",
}

// forEachAsking runs a test for each gateway that can ask.
func forEachAsking(t *testing.T, f func(t *testing.T, p *asking), change ...func(*realGateway)) {
	for i := range products {
		p := &products[i]
		if headersOfQuestions[p.name] == "" {
			continue
		}
		t.Run(p.name, func(t *testing.T) { t.Parallel(); f(t, startAsking(t, p, change...)) })
	}
}

// startAsking starts the port that answers, the service, and the gateway in front of both.
func startAsking(t *testing.T, p *product, change ...func(*realGateway)) *asking {
	t.Helper()
	testkit.Program(t, p.program, p.debian)
	out := &asking{realGateway: &realGateway{behind: newBehind(t), product: p, source: filepath.Join("testdata", "ask", p.name+".conf")}}
	out.put("policy.csv", askPolicy)
	out.sub(config, "format: nginx\n      verified: {header: X-SSL-Client-Verify, value: SUCCESS}", documentedPort(t, p.name))
	out.sub(config, "    strict: true", "    answer: {decision: "+headersOfQuestions[p.name]+"}\n    strict: true")
	for _, f := range change {
		f(out.realGateway)
	}
	service := httptest.NewServer(http.HandlerFunc(out.serve))
	t.Cleanup(service.Close)
	out.live = out.behind.start(mtlsguard.Options{})
	port := strings.TrimPrefix(out.live.url("internal", ""), "https://")
	out.texts = []string{"@ASK@", strings.Replace(port, "127.0.0.1", "localhost", 1), "@APP@", service.Listener.Addr().(*net.TCPAddr).String()}
	out.url = out.realGateway.start("", "")
	return out
}

// serve is the service.
func (a *asking) serve(w http.ResponseWriter, r *http.Request) {
	s := served{method: r.Method, target: r.RequestURI}
	for name, values := range r.Header {
		value := strings.Join(values, "|")
		switch name {
		case "X-Mtlsguard-User":
			s.user = value
		case "X-Mtlsguard-Groups":
			s.groups = value
		case "X-Mtlsguard-Mapping":
			s.mapping = value
		default:
			if folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name)); strings.HasPrefix(folded, "x-mtlsguard-") {
				s.spelled = name
			}
		}
	}
	a.mu.Lock()
	a.served = append(a.served, s)
	a.mu.Unlock()
	fmt.Fprint(w, s.user)
}

// taken returns what the service got since the last call.
func (a *asking) taken() []served {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.served
	a.served = nil
	return out
}

// send makes one request through the gateway, and returns "200 user", or the status and the
// reference of the refusal's log line.
func (a *asking) send(holder *testpki.Pair, method, path string) (string, *http.Response) {
	a.Helper()
	r, err := http.NewRequest(method, a.url+path, nil)
	if err != nil {
		a.Fatal(err)
	}
	res, err := a.client(holder).Do(r)
	if err != nil {
		return "refused", nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return res.Status[:3], res
	}
	body := make([]byte, 64)
	n, _ := res.Body.Read(body)
	return "200 " + string(body[:n]), res
}

// A gateway asks about each request, and forwards the allowed ones with the user.
func TestRealGatewaysAsk(t *testing.T) {
	t.Parallel()
	forEachAsking(t, func(t *testing.T, p *asking) {
		for _, row := range []struct {
			name         string
			holder       *testpki.Pair
			method, path string
			want, reason string
		}{
			{"alice", p.alice, "GET", "/whoami", "200 alice", ""},
			{"alice's order", p.alice, "POST", "/orders/7?all=1", "200 alice", ""},
			{"another method", p.alice, "DELETE", "/orders/7", "403", "no-rule"},
			{"another path", p.alice, "GET", "/admin", "403", "no-rule"},
			{"bob", p.bob, "GET", "/whoami", "200 bob", ""},
			{"bob's order", p.bob, "GET", "/orders/7", "403", "denied"},
			{"no certificate", nil, "GET", "/whoami", "403", "no-certificate"},
			{"unmapped", p.ca.Leaf("stranger"), "GET", "/whoami", "403", "unmapped"},
			{"encoded slash", p.alice, "GET", "/orders%2f7", "400", "ambiguous-path"},
			{"two slashes", p.alice, "GET", "/orders//7", "400", "ambiguous-path"},
			{"unknown method", p.alice, "PURGE", "/orders/7", "400", "ambiguous-path"},
		} {
			p.taken()
			got, res := p.send(row.holder, row.method, row.path)
			if got != row.want {
				t.Errorf("%s: got %s, want %s", row.name, got, row.want)
				continue
			}
			reached := p.taken()
			if row.reason == "" {
				if len(reached) != 1 || reached[0].method != row.method || reached[0].target != row.path || "200 "+reached[0].user != got || reached[0].groups == "" || reached[0].mapping == "" {
					t.Errorf("%s: the service got %v", row.name, reached)
				}
				continue
			}
			if len(reached) > 0 {
				t.Errorf("%s: the service got %v", row.name, reached)
			}
			path, _, _ := strings.Cut(row.path, "?")
			testkit.Eventually(t, row.name+": the log line has the method, the path and the reference of the request", func() bool {
				return len(p.live.log.find("event", "decision", "outcome", "refuse", "reason", row.reason, "method", row.method, "path", path, "reference", res.Header.Get("X-Mtlsguard-Reference"))) == 1
			})
		}
	})
}
