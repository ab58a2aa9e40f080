package guardspiffe_test

import (
	"bytes"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	guardspiffe "github.com/mtlsguard/mtlsguard/source/spiffe"
)

const ordersID = "spiffe://acme.example/orders"

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

// world is an agent with two authorities, and a source.
type world struct {
	testing.TB
	agent         *agent
	acme, partner *testpki.Pair
	clock         testkit.Clock
	log           testkit.Buffer
	source        *guardspiffe.Source
}

// newWorld returns a world whose source has the SVID orders, and the bundles of both trust domains.
func newWorld(tb testing.TB) *world {
	w := &world{TB: tb, agent: newAgent(tb), acme: authority("acme.example"), partner: authority("partner.example")}
	w.send(svid(w.acme, ordersID))
	w.source = must[*guardspiffe.Source](tb)(guardspiffe.New(tb.Context(), w.config()))
	tb.Cleanup(func() { w.source.Close() })
	return w
}

func (w *world) config() guardspiffe.Config {
	return guardspiffe.Config{Addr: w.agent.addr(), Now: w.clock.Now, Log: slog.New(slog.NewTextHandler(&w.log, nil))}
}

// send sends SVIDs with the bundles of both trust domains.
func (w *world) send(svids ...*testpki.Pair) {
	w.agent.send([]*testpki.Pair{w.acme}, map[string][]*testpki.Pair{"partner.example": {w.partner}}, svids...)
}

// presents waits until the source presents a certificate.
func (w *world) presents(p *testpki.Pair) {
	w.Helper()
	testkit.Eventually(w, "the renewed SVID", func() bool {
		c, err := w.source.GetCertificate(nil)
		return err == nil && bytes.Equal(c.Certificate[0], p.Cert.Raw)
	})
}

// client returns a client that calls servers of acme.example, with a certificate.
func (w *world) client(holder *testpki.Pair, options ...testkit.ClientOption) *http.Client {
	return testkit.Client(w, w.acme.Pool(), holder, options...)
}

// get returns the status and the text of an answer, or "refused".
func get(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return "refused"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusOK {
		return res.Status[:3]
	}
	return res.Status[:3] + " " + string(body)
}

// whoami answers with the caller's name.
var whoami = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	io.WriteString(w, id.User)
})

// endsIn makes a certificate that ends after d.
func endsIn(d time.Duration) testpki.Option {
	return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
}

func contains(text string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}
