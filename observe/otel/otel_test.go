package otel_test

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/otel"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// live is a site's server with OpenTelemetry's SDK.
type live struct {
	*testsite.Site
	server    *mtlsguard.Server
	telemetry *otel.Telemetry
	reader    *metric.ManualReader
	spans     *tracetest.SpanRecorder
	tracer    api.Tracer
}

func prepare(t *testing.T, c otel.Config) *live {
	t.Helper()
	l := &live{Site: testsite.New(t), reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	l.tracer = trace.NewTracerProvider(trace.WithSpanProcessor(l.spans)).Tracer("test")
	c.MeterProvider = metric.NewMeterProvider(metric.WithReader(l.reader))
	var err error
	if l.telemetry, err = otel.New(c); err != nil {
		t.Fatal(err)
	}
	return l
}

// outside serves with the span around the guard.
func outside(t *testing.T, c otel.Config) *live {
	t.Helper()
	l := prepare(t, c)
	l.server = l.Open(mtlsguard.Options{Observe: l.telemetry.Observe, OnHandshake: l.telemetry.OnHandshake})
	l.Serve(func(ctx context.Context, ready func()) error {
		return (&ports.Server{Handler: l.traced(l.server.Handler(empty)), Ports: l.server.Ports(), Ready: ready}).Serve(ctx)
	})
	return l
}

// inside serves with the span inside the guard, as Server.Serve does.
func inside(t *testing.T, c otel.Config) *live {
	t.Helper()
	l := prepare(t, c)
	var ready func()
	l.server = l.Open(mtlsguard.Options{Observe: l.telemetry.Observe, OnHandshake: l.telemetry.OnHandshake, Ready: func() { ready() }})
	l.Serve(func(ctx context.Context, now func()) error {
		ready = now
		return l.server.Serve(ctx, l.traced(l.telemetry.Handler(empty)))
	})
	return l
}

var empty = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func (l *live) traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := l.tracer.Start(r.Context(), "request")
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// span returns the attributes of the only span as text.
func (l *live) span() map[string]string {
	l.Helper()
	for end := time.Now().Add(10 * time.Second); len(l.spans.Ended()) == 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	ended := l.spans.Ended()
	l.spans.Reset()
	if len(ended) != 1 {
		l.Fatalf("%d spans ended, wanted one", len(ended))
	}
	out := map[string]string{}
	for _, a := range ended[0].Attributes() {
		if _, twice := out[string(a.Key)]; twice {
			l.Errorf("%s is there twice", a.Key)
		}
		out[string(a.Key)] = a.Value.String()
	}
	return out
}

// metrics returns the collected metrics as text: name{attributes} value.
func (l *live) metrics() string {
	l.Helper()
	var data metricdata.ResourceMetrics
	if err := l.reader.Collect(context.Background(), &data); err != nil {
		l.Fatal(err)
	}
	var lines []string
	say := func(name string, set attribute.Set, value any) {
		lines = append(lines, fmt.Sprintf("%s{%s} %v", name, set.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					say(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					say(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					say(m.Name, p.Attributes, int64(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					say(m.Name, p.Attributes, fmt.Sprintf("%d %v", p.Count, p.BucketCounts))
				}
			default:
				l.Errorf("%s is a %T", m.Name, m.Data)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (l *live) expect(got map[string]string, want map[string]string) {
	l.Helper()
	for key, value := range want {
		if value == absent {
			if have, ok := got[key]; ok {
				l.Errorf("%s is %q, wanted none", key, have)
			}
		} else if got[key] != value {
			l.Errorf("%s is %q, wanted %q", key, got[key], value)
		}
	}
}

const absent = "\x00"

func hash(p *testpki.Pair) string {
	return fmt.Sprintf("%X", sha256.Sum256(p.Cert.Raw))
}

// A span around the guard has the decision and the certificate, and no names.
// Covers L8.
func TestSpanAroundTheGuardHasTheDecision(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{})
	if got := l.Ask(l.Client(l.Alice), l.server, "internal", "/orders/7"); got != 200 {
		t.Fatal(got)
	}
	allowed := l.span()
	l.expect(allowed, map[string]string{
		"tls.established": "true", "tls.protocol.name": "tls", "tls.protocol.version": "1.3", "tls.resumed": "false", "tls.cipher": "TLS_AES_128_GCM_SHA256",
		"tls.client.hash.sha256": hash(l.Alice), "tls.client.issuer": "CN=Client CA", "tls.client.not_after": l.Alice.Cert.NotAfter.UTC().Format(time.RFC3339),
		"tls.client.not_before": l.Alice.Cert.NotBefore.UTC().Format(time.RFC3339),
		"mtlsguard.port":        "internal", "mtlsguard.outcome": "allow", "mtlsguard.via": "tls", "mtlsguard.generation": "1", "mtlsguard.rule": l.Path("policy.csv") + ":1",
		"mtlsguard.reason": absent, "mtlsguard.reference": absent, "tls.client.subject": absent, "user.name": absent, "mtlsguard.mapping": absent, "mtlsguard.client.hash.sha256": absent,
	})
	for key, value := range allowed {
		if strings.Contains(value, "alice") {
			t.Errorf("%s names alice", key)
		}
	}
	if got := l.Ask(l.Client(l.Bob), l.server, "internal", "/orders/7"); got != 403 {
		t.Fatal(got)
	}
	refused := l.span()
	l.expect(refused, map[string]string{"mtlsguard.outcome": "refuse", "mtlsguard.reason": "denied", "tls.client.hash.sha256": hash(l.Bob)})
	if refused["mtlsguard.reference"] == "" {
		t.Error("a refusal has no reference")
	}
	if got := l.Ask(l.Client(nil), l.server, "public", "/"); got != 403 {
		t.Fatal(got)
	}
	l.expect(l.span(), map[string]string{"mtlsguard.reason": "no-certificate", "tls.client.hash.sha256": absent, "mtlsguard.via": absent, "tls.protocol.version": "1.3"})
}

// A span inside the guard has the same attributes of the caller.
// Covers L8.
func TestSpanInsideTheGuardHasTheCaller(t *testing.T) {
	t.Parallel()
	l := inside(t, otel.Config{})
	if got := l.Ask(l.Client(l.Alice), l.server, "internal", "/orders/7"); got != 200 {
		t.Fatal(got)
	}
	l.expect(l.span(), map[string]string{
		"tls.protocol.version": "1.3", "tls.client.hash.sha256": hash(l.Alice), "tls.client.issuer": "CN=Client CA", "mtlsguard.port": "internal",
		"mtlsguard.outcome": "allow", "mtlsguard.via": "tls", "tls.client.subject": absent, "user.name": absent,
	})
	l.Ask(l.Client(l.Bob), l.server, "internal", "/orders/7")
	if n := len(l.spans.Ended()); n != 0 {
		t.Errorf("%d spans of a refused request", n)
	}
}

// Spans have names only with Config.Names.
// Covers L10.
func TestSpansHaveNamesOnlyIfConfigured(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, otel.Config) *live{"outside": outside, "inside": inside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, otel.Config{Names: true})
			if got := l.Ask(l.Client(l.Alice), l.server, "internal", "/"); got != 200 {
				t.Fatal(got)
			}
			l.expect(l.span(), map[string]string{"user.name": "alice", "mtlsguard.mapping": "alice", "tls.client.subject": "CN=alice"})
			if text := l.metrics(); strings.Contains(text, "alice") {
				t.Errorf("a metric names alice:\n%s", text)
			}
		})
	}
}

// Behind a gateway, tls.client is the gateway and mtlsguard.client the caller.
// Covers F16.
func TestSpanBehindAGatewayHasBothCertificates(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, otel.Config) *live{"outside": outside, "inside": inside} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, otel.Config{})
			gateway := l.Gateway.Leaf("gateway", func(c *x509.Certificate) { c.DNSNames = []string{"gateway.example"} })
			forwarded := ":" + base64.StdEncoding.EncodeToString(l.Alice.Cert.Raw) + ":"
			if got := l.Ask(l.Client(gateway), l.server, "gateway", "/", "Client-Cert", forwarded); got != 200 {
				t.Fatal(got)
			}
			want := map[string]string{"mtlsguard.via": "forwarded", "mtlsguard.client.hash.sha256": hash(l.Alice), "mtlsguard.client.issuer": "CN=Client CA", "mtlsguard.client.subject": absent}
			want["tls.client.hash.sha256"] = absent
			if name == "outside" {
				want["tls.client.hash.sha256"], want["tls.client.issuer"] = hash(gateway), "CN=Gateway CA"
			}
			l.expect(l.span(), want)
		})
	}
}

// Decisions and handshakes are counted once, with the right attributes.
// Covers L8.
func TestDecisionsAndHandshakesAreCountedOnce(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{})
	alice := l.Client(l.Alice)
	for range 2 {
		l.Ask(alice, l.server, "internal", "/")
	}
	l.Ask(l.Client(l.Bob), l.server, "public", "/")
	l.Ask(l.Client(l.Other.Leaf("alice")), l.server, "internal", "/")
	l.Ask(&http.Client{}, l.server, "internal", "/") // trusts no server
	l.Eventually(l.metrics,
		"\nmtlsguard.decisions{mtlsguard.outcome=allow,mtlsguard.port=internal} 2\n",
		"\nmtlsguard.decisions{mtlsguard.outcome=refuse,mtlsguard.port=public,mtlsguard.reason=denied} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=internal,tls.established=true,tls.protocol.version=1.3,tls.resumed=false} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=internal,tls.established=true,tls.protocol.version=1.3,tls.resumed=true} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=refuse,mtlsguard.port=internal,mtlsguard.reason=unknown-authority,tls.established=false} 1\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=failed,mtlsguard.port=internal,tls.established=false} 1\n",
		"\nmtlsguard.client.certificate.remaining{mtlsguard.port=internal} 2 [0 0 0 0 0 2 0 0 0 0 0 0 0 0 0 0]\n",
		"\nmtlsguard.handshake.duration{mtlsguard.port=internal} 2 ",
	)
}

// The current configuration is exported until Unregister.
// Covers I6.
func TestCurrentConfigurationIsExportedUntilUnregister(t *testing.T) {
	t.Parallel()
	l := inside(t, otel.Config{})
	registration, err := l.telemetry.Watch(l.server)
	if err != nil {
		t.Fatal(err)
	}
	text := "\n" + l.metrics() + "\n"
	for _, want := range []string{
		"\nmtlsguard.ready{} 1\n", "\nmtlsguard.reload.failed{} 0\n", "\nmtlsguard.generation{} 1\n", "\nmtlsguard.log.dropped{} 0\n", "\nmtlsguard.shadow.checked{} 0\n",
		"\nmtlsguard.anchors{mtlsguard.port=gateway} 2\n", "\nmtlsguard.connections{mtlsguard.port=public} 0\n", "\nmtlsguard.file.generation{mtlsguard.file=users.yaml} 1\n",
		"\nmtlsguard.file.age{mtlsguard.file=users.yaml} 0\n", "\nmtlsguard.server.certificate.remaining{mtlsguard.port=public} 863", "\nmtlsguard.crl.remaining{mtlsguard.port=internal} 863",
		"\nmtlsguard.anchor.remaining{mtlsguard.port=internal} 3153",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s in %s", want, text)
		}
	}
	if strings.Contains(text, "mtlsguard.crl.remaining{mtlsguard.port=public}") {
		t.Error("a port without CRLs has one")
	}
	l.Put("policy.csv", "garbage")
	_ = l.server.Reload()
	l.Eventually(l.metrics, "\nmtlsguard.reload.failed{} 1\n", "\nmtlsguard.ready{} 0\n")
	if err := registration.Unregister(); err != nil {
		t.Fatal(err)
	}
	if text := l.metrics(); strings.Contains(text, "mtlsguard.ready") {
		t.Errorf("it is still watched:\n%s", text)
	}
}

// A reason outside the list is counted as other: a plug-in cannot create series.
// Covers H10.
func TestUnknownReasonIsCountedAsOther(t *testing.T) {
	t.Parallel()
	l := prepare(t, otel.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	for i := range 10 {
		word := reason.Reason(fmt.Sprint("word-", i))
		l.telemetry.Observe(r, middleware.Outcome{Port: "a", Reason: word})
		l.telemetry.OnHandshake(ports.Handshake{Port: "a", Reason: word, Err: errors.New("refused")})
		l.telemetry.OnHandshake(ports.Handshake{Port: "a", Version: uint16(0x7000 + i), ServerName: string(word)})
	}
	text := "\n" + l.metrics() + "\n"
	for _, want := range []string{
		"\nmtlsguard.decisions{mtlsguard.outcome=refuse,mtlsguard.port=a,mtlsguard.reason=other} 10\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=refuse,mtlsguard.port=a,mtlsguard.reason=other,tls.established=false} 10\n",
		"\nmtlsguard.handshakes{mtlsguard.outcome=ok,mtlsguard.port=a,tls.established=true,tls.protocol.version=other,tls.resumed=false} 10\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing %s in %s", want, text)
		}
	}
}

// Text from a certificate is UTF-8 and bounded.
// Covers L7.
func TestTextFromCertificatesIsBoundedUTF8(t *testing.T) {
	t.Parallel()
	l := outside(t, otel.Config{Names: true})
	hostile := l.CA.Leaf("alice", func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "alice\nuser=admin\u202e", Organization: []string{strings.Repeat("long ", 40)}, OrganizationalUnit: []string{strings.Repeat("long ", 40)}}
		c.DNSNames = []string{"alice.example"}
	})
	l.Put("users.yaml", "mappings: [{id: alice, user: alice, dns: alice.example, issuer: ca.pem}]\n")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	l.Ask(l.Client(hostile), l.server, "internal", "/")
	got := l.span()
	if got["tls.client.subject"] == "" {
		t.Fatalf("%v", got)
	}
	for key, value := range got {
		if len(value) > 300 || !utf8.ValidString(value) || strings.ContainsAny(value, "\n\u202e") {
			t.Errorf("%s is %q", key, value)
		}
	}
}

// Counting and adding ports are safe at the same time.
// Covers L8.
func TestTelemetryIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	l := prepare(t, otel.Config{})
	r := httptest.NewRequest("GET", "/", nil)
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for i := range 500 {
				l.telemetry.Observe(r, middleware.Outcome{Port: fmt.Sprint("port-", i%5), Allowed: true})
			}
		})
	}
	busy.Wait()
	for i := range 5 {
		if want := fmt.Sprintf("mtlsguard.decisions{mtlsguard.outcome=allow,mtlsguard.port=port-%d} 400", i); !strings.Contains(l.metrics(), want) {
			t.Errorf("missing %s", want)
		}
	}
}

// The cost of counting a decision, without a provider and with the SDK.
func BenchmarkObserve(b *testing.B) {
	r := httptest.NewRequest("GET", "/", nil)
	o := middleware.Outcome{Port: "internal", Allowed: true}
	for name, c := range map[string]otel.Config{"noop": {MeterProvider: noop.NewMeterProvider()}, "SDK": {MeterProvider: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))}} {
		b.Run(name, func(b *testing.B) {
			t, err := otel.New(c)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				t.Observe(r, o)
			}
		})
	}
}
