package otel

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// Config says where to and how much. The zero value is fine.
type Config struct {
	// MeterProvider makes the instruments; nil is the global one.
	MeterProvider metric.MeterProvider
	// Names puts personal data into spans: user.name, the mapping, and the subject of
	// the certificate. They are for those who may read the audit log.
	Names bool
	// Now is the clock that certificates are judged by, as in mtlsguard.Options; nil is
	// time.Now.
	Now func() time.Time
}

// Telemetry tells what it is told. It is safe for concurrent use. Make one with New.
type Telemetry struct {
	names bool
	now   func() time.Time
	meter metric.Meter

	mu    sync.Mutex                       // for adding a port
	ports atomic.Pointer[map[string]*port] // never changed, only replaced

	decisions, handshakes metric.Int64Counter
	remaining, duration   metric.Float64Histogram
}

// scope names the instruments' origin.
const scope = "github.com/mtlsguard/mtlsguard/observe/otel"

const day = 24 * 60 * 60 // seconds

// New makes the instruments. The error joins what the provider has against them.
func New(c Config) (*Telemetry, error) {
	if c.MeterProvider == nil {
		c.MeterProvider = api.GetMeterProvider()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Telemetry{names: c.Names, now: c.Now, meter: c.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))}
	var errs [4]error
	t.decisions, errs[0] = t.meter.Int64Counter("mtlsguard.decisions", metric.WithUnit("{request}"), metric.WithDescription("Requests decided."))
	t.handshakes, errs[1] = t.meter.Int64Counter("mtlsguard.handshakes", metric.WithUnit("{handshake}"), metric.WithDescription("TLS handshakes, finished or not."))
	t.remaining, errs[2] = t.meter.Float64Histogram("mtlsguard.client.certificate.remaining", metric.WithUnit("s"),
		metric.WithDescription("What client certificates have left when they connect."),
		metric.WithExplicitBucketBoundaries(0, 600, 3600, day/6, day/2, day, 2*day, 4*day, 7*day, 14*day, 30*day, 60*day, 90*day, 180*day, 365*day))
	t.duration, errs[3] = t.meter.Float64Histogram("mtlsguard.handshake.duration", metric.WithUnit("s"),
		metric.WithDescription("How long finished TLS handshakes took, waiting for the client included."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	t.ports.Store(&map[string]*port{})
	return t, nil
}
