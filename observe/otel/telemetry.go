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

// Config holds the settings of New. The zero value is valid.
type Config struct {
	// MeterProvider creates the instruments. nil means the global provider.
	MeterProvider metric.MeterProvider
	// Names adds personal data to spans: user.name, the mapping, and the subject of the
	// certificate. Readers of the spans then see the same names as readers of the log.
	Names bool
	// Now returns the time against which client certificates are measured, as in
	// mtlsguard.Options. nil means time.Now.
	Now func() time.Time
}

// Telemetry counts decisions and handshakes, and sets attributes on spans. It is safe for
// concurrent use. Make one with New.
type Telemetry struct {
	names bool
	now   func() time.Time
	meter metric.Meter

	mu    sync.Mutex                       // held while a port is added
	ports atomic.Pointer[map[string]*port] // replaced as a whole, so that reads take no lock

	decisions, handshakes metric.Int64Counter
	remaining, duration   metric.Float64Histogram
}

// scope is the name of the instrumentation scope.
const scope = "github.com/mtlsguard/mtlsguard/observe/otel"

const day = 24 * 60 * 60 // seconds

// New creates the instruments. The error joins the errors of the provider.
func New(c Config) (*Telemetry, error) {
	if c.MeterProvider == nil {
		c.MeterProvider = api.GetMeterProvider()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	t := &Telemetry{names: c.Names, now: c.Now, meter: c.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))}
	var errs [4]error
	t.decisions, errs[0] = t.meter.Int64Counter("mtlsguard.decisions", metric.WithUnit("{request}"), metric.WithDescription("Decided requests."))
	t.handshakes, errs[1] = t.meter.Int64Counter("mtlsguard.handshakes", metric.WithUnit("{handshake}"), metric.WithDescription("TLS handshakes, finished or not."))
	t.remaining, errs[2] = t.meter.Float64Histogram("mtlsguard.client.certificate.remaining", metric.WithUnit("s"),
		metric.WithDescription("The remaining validity of client certificates in finished handshakes."),
		metric.WithExplicitBucketBoundaries(0, 600, 3600, day/6, day/2, day, 2*day, 4*day, 7*day, 14*day, 30*day, 60*day, 90*day, 180*day, 365*day))
	t.duration, errs[3] = t.meter.Float64Histogram("mtlsguard.handshake.duration", metric.WithUnit("s"),
		metric.WithDescription("The duration of finished TLS handshakes, waiting for the client included."),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	t.ports.Store(&map[string]*port{})
	return t, nil
}
