package reverse_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// newDirectBackend returns the same gateway with an ordinary HTTP/2 backend on a port with mTLS: the
// caller's certificate is forwarded (RFC 9440), verified again and authorized in both.
func newDirectBackend(tb testing.TB, h http.Handler) *ports.Port {
	tb.Helper()
	lanCA := testpki.NewCA("LAN CA") // here the gateway is a client
	gateway := lanCA.Leaf("gateway", func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }).TLS()
	gateways := trusting(tb, lanCA)
	receiver := must[*forwarded.Receiver](tb)(forwarded.New(forwarded.Config{
		Topology: forwarded.RFC9440(), Users: trusting(tb, userCA),
		Gateways: forwarded.Gateways{Names: []string{"localhost"}, Trust: gateways},
	}))
	g := newGuard(tb, func(c *middleware.Config) {
		c.PerPort = map[string]middleware.PortConfig{"lan": {Forwarded: receiver}}
	})
	server := serverCA.Server().TLS()
	backend := must[*ports.Port](tb)(ports.New(portConfig("lan", ports.Require, &server, gateways)))
	serve(tb, g.Handler(h), backend)

	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true, TLSClientConfig: &tls.Config{
		RootCAs: serverCA.Pool(), ServerName: "localhost",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &gateway, nil },
	}}
	tb.Cleanup(transport.CloseIdleConnections)
	addr := backend.Addr().String()
	proxy := &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, BufferPool: &benchBuffers{}, Rewrite: func(pr *httputil.ProxyRequest) {
		c, _ := ports.FromContext(pr.In.Context())
		verified, err := c.Verified(pr.In.Context())
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		forwarded.SetClientCert(pr, verified)
		pr.SetXForwarded()
		pr.Out.URL.Scheme, pr.Out.URL.Host = "https", addr
	}}
	external := must[*ports.Port](tb)(ports.New(portConfig("external", ports.Request, &web, trusting(tb, userCA))))
	serve(tb, proxy, external)
	return external
}

type benchBuffers struct{ sync.Pool }

func (p *benchBuffers) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}
func (p *benchBuffers) Put(b []byte) { p.Pool.Put(&b) }

// smallAnswer answers with a few bytes.
var smallAnswer = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello, world\n") })

// newPair returns the addresses of the two ways to the same handler.
func newPair(tb testing.TB) (direct, tunnel string) {
	d := newDMZWithServer(tb, smallAnswer)
	return newDirectBackend(tb, smallAnswer).Addr().String(), d.external.Addr().String()
}

func fetch(tb testing.TB, c *client) {
	res, err := c.http.Get(c.url + "/x")
	if err != nil {
		tb.Fatal(err)
	}
	n, err := io.Copy(io.Discard, res.Body)
	res.Body.Close()
	if err != nil || n != 13 || res.StatusCode != 200 {
		tb.Fatal(res.Status, n, err)
	}
}

// BenchmarkTunnel measures one caller's request through the gateway: to a backend that the
// gateway dials, and to one that has dialled the gateway.
func BenchmarkTunnel(b *testing.B) {
	direct, tunnel := newPair(b)
	for _, h2 := range []bool{false, true} {
		for name, addr := range map[string]string{"direct": direct, "reverse": tunnel} {
			b.Run(fmt.Sprintf("h2=%t/%s", h2, name), func(b *testing.B) {
				c := newClient(b, addr, alice, h2)
				fetch(b, c)
				b.ReportAllocs()
				for b.Loop() {
					fetch(b, c)
				}
			})
		}
	}
}

// BenchmarkPair alternates between both, so that other load on the machine affects both, and
// reports the ratio of the tunnel's time to the direct time.
func BenchmarkPair(b *testing.B) {
	direct, tunnel := newPair(b)
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			ways := []*client{newClient(b, direct, alice, true), newClient(b, tunnel, alice, true)}
			for _, c := range ways {
				fetch(b, c)
			}
			var took [2]time.Duration
			var ratios []float64
			n := 0
			for b.Loop() {
				var round [2]time.Duration
				for i := range ways {
					i = (i + n) % 2
					began := time.Now()
					fetchConcurrently(b, ways[i], callers, 50)
					round[i] = time.Since(began)
					took[i] += round[i]
				}
				ratios = append(ratios, float64(round[1])/float64(round[0]))
				n++
			}
			per := float64(n * callers * 50)
			b.ReportMetric(float64(took[0].Microseconds())/per, "direct-µs/request")
			b.ReportMetric(float64(took[1].Microseconds())/per, "reverse-µs/request")
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "times-median")
			b.ReportMetric(float64(took[1])/float64(took[0]), "times")
		})
	}
}

// fetchConcurrently makes each requests for each of callers concurrent callers.
func fetchConcurrently(b *testing.B, c *client, callers, each int) {
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for range each {
				fetch(b, c)
			}
		}()
	}
	for range callers {
		<-done
	}
}
