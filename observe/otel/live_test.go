package otel_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	api "go.opentelemetry.io/otel/trace"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/observe/internal/testsite"
	"github.com/mtlsguard/mtlsguard/observe/otel"
	"github.com/mtlsguard/mtlsguard/ports"
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
	testkit.Eventually(l, "a span ends", func() bool { return len(l.spans.Ended()) > 0 })
	ended := l.spans.Ended()
	l.spans.Reset()
	if len(ended) != 1 {
		l.Fatalf("%d spans ended, want 1", len(ended))
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
	add := func(name string, set attribute.Set, value any) {
		lines = append(lines, fmt.Sprintf("%s{%s} %v", name, set.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[int64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, p.Value)
				}
			case metricdata.Gauge[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, int64(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(m.Name, p.Attributes, fmt.Sprintf("%d %v", p.Count, p.BucketCounts))
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
				l.Errorf("%s is %q, want none", key, have)
			}
		} else if got[key] != value {
			l.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
}

const absent = "\x00"

func hash(p *testpki.Pair) string {
	return fmt.Sprintf("%X", sha256.Sum256(p.Cert.Raw))
}
