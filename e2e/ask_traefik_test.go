package e2e

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// traefikQuestion returns the question that Traefik sends about a client's request, as its
// documentation describes forwardAuth behind passTLSClientCert: a GET with the headers of the
// client, without hop-by-hop headers, and with its own in place of the client's.
func traefikQuestion(t *testing.T, to string, client *http.Request, holder *testpki.Pair, trustForwardHeader bool) *http.Request {
	t.Helper()
	q, err := http.NewRequest("GET", to, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header = client.Header.Clone()
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		q.Header.Del(name)
	}
	q.Header.Del("X-Forwarded-Tls-Client-Cert")
	if holder != nil {
		q.Header.Set("X-Forwarded-Tls-Client-Cert", base64DER(holder))
	}
	q.Header.Set("X-Forwarded-For", "192.0.2.1")
	q.Header.Set("X-Forwarded-Proto", "https")
	for name, own := range map[string]string{"X-Forwarded-Method": client.Method, "X-Forwarded-Uri": client.URL.RequestURI(), "X-Forwarded-Host": client.Host} {
		if q.Header.Get(name) == "" || !trustForwardHeader {
			q.Header.Set(name, own)
		}
	}
	return q
}

// The requests that Traefik documents get the answers that a request to the port would get.
func TestTraefikAsks(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.put("policy.csv", askPolicy)
	b.sub(config, nginxFormat+"\n      "+verifiedLine, "format: traefik")
	b.sub(config, "    strict: true", "    server_names: [api.acme.example]\n    answer: {decision: {method: X-Forwarded-Method, target: X-Forwarded-Uri, host: X-Forwarded-Host}}\n    strict: true")
	l := b.start(mtlsguard.Options{})
	gateway := b.client(b.gateway)
	for _, row := range []struct {
		name         string
		holder       *testpki.Pair
		method, uri  string
		header, want string // header: "NAME: VALUE" that the client sends
	}{
		{"allowed", b.alice, "POST", "/orders/7?x=1", "", "200 alice Authenticated,Everybody,staff alice"},
		{"denied", b.bob, "POST", "/orders/7", "", "403 denied"},
		{"another method", b.alice, "DELETE", "/orders/7", "", "403 no-rule"},
		{"no certificate", nil, "GET", "/whoami", "", "403 no-certificate"},
		{"two slashes", b.alice, "GET", "/orders//7", "", "400 ambiguous-path"},
		{"encoded slash", b.alice, "GET", "/orders%2f7", "", "400 ambiguous-path"},
		{"the client's target", b.alice, "GET", "/admin", "X-Forwarded-Uri: /whoami", "403 no-rule"},
		{"the client's method", b.alice, "DELETE", "/orders/7", "X-Forwarded-Method: GET", "403 no-rule"},
		{"the client's certificate", b.bob, "GET", "/orders/7", "X-Forwarded-Tls-Client-Cert: " + base64DER(b.alice), "403 denied"},
		{"another spelling of the target", b.alice, "GET", "/orders/7", "X_Forwarded_Uri: /whoami", "400 bad-header"},
		{"another spelling of the certificate", b.alice, "GET", "/orders/7", "X_Forwarded_Tls_Client_Cert: " + base64DER(b.bob), "400 bad-header"},
		{"the client's user", b.alice, "GET", "/orders/7", "X-Mtlsguard-User: root", "200 alice Authenticated,Everybody,staff alice"},
	} {
		client, err := http.NewRequest(row.method, "https://api.acme.example"+row.uri, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name, value, ok := strings.Cut(row.header, ": "); ok {
			client.Header[name] = []string{value}
		}
		if got := decisionOf(gateway.Do(traefikQuestion(t, l.url("internal", "/"), client, row.holder, false))); got != row.want {
			t.Errorf("%s: got %s, want %s", row.name, got, row.want)
		}
	}
	// With trustForwardHeader Traefik asks about what the client writes: docs/ask.md warns of it.
	client, err := http.NewRequest("GET", "https://api.acme.example/admin", nil)
	if err != nil {
		t.Fatal(err)
	}
	client.Header.Set("X-Forwarded-Uri", "/whoami")
	if got := decisionOf(gateway.Do(traefikQuestion(t, l.url("internal", "/"), client, b.alice, true))); !strings.HasPrefix(got, "200 alice") {
		t.Errorf("with trustForwardHeader: %s", got)
	}
	client.Host = "other.example"
	if got := decisionOf(gateway.Do(traefikQuestion(t, l.url("internal", "/"), client, b.alice, false))); got != "421 misdirected" {
		t.Errorf("another host: %s, want 421 misdirected", got)
	}
}

// decisionOf returns the answer to a question as one text.
func decisionOf(res *http.Response, err error) string {
	if err != nil {
		return "refused"
	}
	defer res.Body.Close()
	h := res.Header
	if res.StatusCode == http.StatusOK {
		return strings.Join([]string{"200", h.Get("X-Mtlsguard-User"), h.Get("X-Mtlsguard-Groups"), h.Get("X-Mtlsguard-Mapping")}, " ")
	}
	return res.Status[:3] + " " + h.Get("X-Mtlsguard-Reason")
}

func base64DER(p *testpki.Pair) string { return base64.StdEncoding.EncodeToString(p.Cert.Raw) }
