package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// A server without an open port and without a handler forwards what comes through its tunnel,
// with the caller of the gateway, whose address it does not know.
func TestUpstreamBehindATunnel(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	outer := d.startGateway(mtlsguard.Options{})
	inside := d.inside()
	inside.handler = nil
	url := service(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		io.WriteString(w, r.Header.Get("X-Mtlsguard-User")+strings.Join(r.Header["X-Forwarded-For"], "")+string(body))
	})
	inside.sub(config, "  strict: true\n", "  strict: true\n  upstream: {url: \""+url+"\"}\n")
	inside.put("policy.csv", "p, user:alice, tunnel, POST, /orders/*, allow\n")
	inside.start(mtlsguard.Options{})
	testkit.Eventually(t, "the tunnel", func() bool { return outer.server.Status().Services["orders"] > 0 })
	res, err := outer.client(d.alice).Post(outer.url("external", "/orders/7"), "text/plain", strings.NewReader(", body"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "alice, body" {
		t.Errorf("got %s %s, %v; want alice's body", res.Status, body, err)
	}
}
