package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

const answerLine = "    answer: {decision: {method: X-Original-Method, target: X-Original-URI}}\n"

const askPolicy = `p, group:Everybody, *, GET, /whoami, allow
p, group:staff, internal, GET|POST, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
g, user:alice, group:staff
g, user:bob, group:staff
`

// newAsked is the site of newBehind, whose port "internal" answers questions. Its answer stands in
// line 14.
func newAsked(tb testing.TB) *behind {
	b := newBehind(tb)
	b.sub(config, "    strict: true\n", answerLine+"    strict: true\n")
	return b
}

func answer14(replacement string) func(*site) { return yaml(answerLine, "    "+replacement+"\n") }

func TestAnswerConfigurationErrors(t *testing.T) {
	t.Parallel()
	for _, row := range []configErrorRow{
		{"answer is a string", answer14("answer: decision"), config, 14, "answer"},
		{"answer is empty", answer14("answer: {}"), config, 14, "answer has no decision"},
		{"an unknown answer", answer14("answer: {descision: {}}"), config, 14, `unknown key "descision"`},
		{"decision is a string", answer14("answer: {decision: nginx}"), config, 14, "decision"},
		{"an unknown key", answer14("answer: {decision: {uri: X-Original-URI}}"), config, 14, `unknown key "uri"`},
		{"no method", answer14("answer: {decision: {target: X-Original-URI}}"), config, 14, "decision has no method"},
		{"no target", answer14("answer: {decision: {method: X-Original-Method}}"), config, 14, "decision has no target"},
		{"an underscore", answer14("answer: {decision: {method: X_Method, target: X-Original-URI}}"), config, 14, `method: "X_Method" is not a header name`},
		{"a header of HTTP", answer14("answer: {decision: {method: X-Original-Method, target: Host}}"), config, 14, "target: the header Host has another meaning"},
		{"a header that names a caller", answer14("answer: {decision: {method: X-Original-Method, target: X-Remote-User}}"), config, 14, "names a caller"},
		{"the certificate's header", func(s *site) {
			s.sub(config, nginxFormat, nginxFormat+"\n      header: X-Original-URI")
		}, config, 15, "target: the header X-Original-URI names a caller"},
		{"one header for both", answer14("answer: {decision: {method: X-Original-URI, target: x-original-uri}}"), config, 14, "named twice"},
		{"host without server_names", answer14("answer: {decision: {method: X-Original-Method, target: X-Original-URI, host: X-Forwarded-Host}}"), config, 14, "host has no effect without server_names"},
		{"without forwarded", yaml(forwardedLines, "    trust: {anchors: [ca.pem]}\n"), config, 10, "answer needs forwarded"},
		{"a port for anybody", yaml("client_cert: require", "client_cert: request"), config, 7, "only gateways may ask"},
		{"cancel_requests", yaml(answerLine, answerLine+"    cancel_requests: true\n"), config, 15, "cancel_requests has no effect"},
		{"tunnel", yaml(answerLine, answerLine+"    tunnel: {service: orders}\n"), config, 15, "tunnel has no effect"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := newAsked(t)
			row.spoil(b.site)
			_, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
			found := configerror.All(err)
			for _, m := range found {
				if m.File == "" || m.What == "" || m.Hint == "" || m.Line == 0 {
					t.Errorf("incomplete: %#v", m)
				}
			}
			if !hasConfigError(found, b.path(row.file), row.line, row.what) {
				t.Errorf("no error at %s:%d with %q in:\n%v", row.file, row.line, row.what, err)
			}
		})
	}
}

// A gateway that asks a port without answer would take the answer to its own request for the
// decision: a reload does not make such a port of one that answers.
func TestAnswerNeedsARestart(t *testing.T) {
	t.Parallel()
	for _, states := range [][2]*behind{{newAsked(t), newBehind(t)}, {newBehind(t), newAsked(t)}} {
		b := states[0]
		l := b.start(mtlsguard.Options{})
		b.put(config, states[1].get(config))
		if err := l.server.Reload(); !errors.Is(err, ports.ErrRestart) {
			t.Errorf("got %v", err)
		}
	}
	b := newAsked(t)
	l := b.start(mtlsguard.Options{})
	asks := func(method, target string) string {
		return get(withHeaders(b.client(b.gateway), append(nginxHeaders(b.alice), method, "GET", target, "/whoami")...), l.url("internal", "/"))
	}
	if got := asks("X-Original-Method", "X-Original-Uri"); got != "200" {
		t.Errorf("before: %s, want 200", got)
	}
	b.sub(config, "X-Original-Method, target: X-Original-URI", "X-Forwarded-Method, target: X-Forwarded-Uri")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if got := asks("X-Original-Method", "X-Original-Uri"); got != "400" {
		t.Errorf("other headers: %s, want 400", got)
	}
	if got := asks("X-Forwarded-Method", "X-Forwarded-Uri"); got != "200" {
		t.Errorf("the new headers: %s, want 200", got)
	}
}

// A server whose ports answer questions needs no handler.
func TestServerThatOnlyAnswersNeedsNoHandler(t *testing.T) {
	t.Parallel()
	b := newAsked(t)
	first, _, _ := strings.Cut(b.get(config), "  - name: public")
	b.put(config, first)
	b.handler = nil
	l := b.start(mtlsguard.Options{})
	asking := withHeaders(b.client(b.gateway), append(nginxHeaders(b.alice), "X-Original-Method", "GET", "X-Original-Uri", "/whoami")...)
	if got := get(asking, l.url("internal", "/")); got != "200" {
		t.Errorf("got %s, want 200", got)
	}
}

// Explain answers for the request that a gateway would ask about.
func TestExplainAnswersQuestions(t *testing.T) {
	t.Parallel()
	b := newAsked(t)
	server, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pairs := nginxHeaders(b.alice)
	q := mtlsguard.ExplainRequest{Port: "internal", Certificates: b.gateway.Presented(), Header: map[string][]string{pairs[0]: {pairs[1]}, pairs[2]: {pairs[3]}}}
	for _, row := range []struct {
		method, path string
		gateway      *testpki.Pair
		want         string
	}{
		{"GET", "/whoami?x=1", b.gateway, ""}, {"POST", "/orders/7", b.gateway, ""}, {"DELETE", "/orders/7", b.gateway, "no-rule"},
		{"GET", "/orders/../whoami", b.gateway, "ambiguous-path"}, {"GET", "http://localhost/whoami", b.gateway, "ambiguous-path"}, {"CONNECT", "localhost:443", b.gateway, "ambiguous-path"},
		{"GET", "/whoami", b.gatewayCA.Leaf("other", named("other.acme.example")), "untrusted-gateway"},
	} {
		q.Method, q.Path, q.Certificates = row.method, row.path, row.gateway.Presented()
		x, err := server.Explain(t.Context(), q)
		path, _, _ := strings.Cut(row.path, "?")
		if err != nil || string(x.Reason) != row.want || x.Allowed != (row.want == "") || x.Method != row.method || x.Path != path {
			t.Errorf("%s %s: got %s %s %s, %v; want %q", row.method, row.path, x.Reason, x.Method, x.Path, err, row.want)
		}
	}
}

// docs/ask.md has the configurations of the gateways that the tests use, byte for byte, and a
// mtlsguard.yaml that loads.
func TestAskPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/ask.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nginx", "caddy"} {
		text, err := os.ReadFile(filepath.Join("testdata", "ask", name+".conf"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+string(text)+"```\n") {
			t.Errorf("docs/ask.md differs from %s.conf", name)
		}
	}
	b := newBehind(t)
	_, text, _ := strings.Cut(string(page), "# mtlsguard.yaml\n")
	text, _, _ = strings.Cut(text, "```")
	_, rules, _ := strings.Cut(string(page), "# policy.csv\n")
	rules, _, _ = strings.Cut(rules, "```")
	b.put(config, text)
	b.put("client-ca.pem", string(b.ca.CertPEM()))
	b.put("policy.csv", rules)
	b.sub("users.yaml", ", ports: [internal]", "")
	server, err := mtlsguard.Open(b.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pairs := nginxHeaders(b.alice)
	x, err := server.Explain(t.Context(), mtlsguard.ExplainRequest{
		Port: "api", Method: "POST", Path: "/orders/7", Certificates: b.gateway.Presented(), Header: map[string][]string{pairs[0]: {pairs[1]}, pairs[2]: {pairs[3]}},
	})
	if err != nil || !x.Allowed {
		t.Errorf("got %+v, %v; want an allowed request", x, err)
	}
}
