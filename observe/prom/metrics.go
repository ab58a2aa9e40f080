package prom

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mtlsguard/mtlsguard"
)

// Config holds the settings of New. The zero value is valid.
type Config struct {
	// Now returns the time against which client certificates are measured, as in
	// mtlsguard.Options. nil means time.Now.
	Now func() time.Time
	// Remaining holds the upper bounds of the histogram of the remaining validity of client
	// certificates, in ascending order. nil means 15 bounds from 0 to one year.
	Remaining []time.Duration
}

const day = 24 * time.Hour

var (
	defaultRemaining = []time.Duration{
		0, 10 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, day, 2 * day, 4 * day, 7 * day,
		14 * day, 30 * day, 60 * day, 90 * day, 180 * day, 365 * day,
	}
	handshakeSeconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// Metrics counts decisions and handshakes, and is a prometheus.Collector. It is safe for
// concurrent use. Make one with New.
type Metrics struct {
	collector
	now func() time.Time

	mu    sync.Mutex                       // held while a port is added
	ports atomic.Pointer[map[string]*port] // replaced as a whole, so that reads take no lock
}

// collector implements prometheus.Collector.
type collector struct {
	server                atomic.Pointer[mtlsguard.Server]
	decisions, handshakes *prometheus.CounterVec
	remaining, duration   *prometheus.HistogramVec
}

// New returns metrics without a server. The error joins all errors of the Config.
func New(c Config) (*Metrics, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Remaining == nil {
		c.Remaining = defaultRemaining
	}
	var bounds []float64
	var errs []error
	for i, d := range c.Remaining {
		if i > 0 && d <= c.Remaining[i-1] {
			errs = append(errs, fmt.Errorf("prom: Config.Remaining[%d]: %s is not above the bound before it", i, d))
		}
		bounds = append(bounds, d.Seconds())
	}
	if len(bounds) == 0 {
		errs = append(errs, errors.New("prom: Config.Remaining: the list is empty; nil means the default bounds"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	m := &Metrics{now: c.Now}
	m.collector = collector{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtlsguard_decisions_total", Help: "Decided requests: outcome is allow or refuse, reason is the reason of a refusal.",
		}, []string{"port", "outcome", "reason"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtlsguard_handshakes_total", Help: "TLS handshakes: outcome is ok, refuse, or failed where the client or the network ended it.",
		}, []string{"port", "outcome", "reason", "version", "resumed"}),
		remaining: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtlsguard_client_certificate_remaining_seconds", Help: "The remaining validity of client certificates in finished handshakes.",
			Buckets: bounds,
		}, []string{"port"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtlsguard_handshake_duration_seconds", Help: "The duration of finished TLS handshakes, waiting for the client included.",
			Buckets: handshakeSeconds,
		}, []string{"port"}),
	}
	m.ports.Store(&map[string]*port{})
	return m, nil
}

// Watch adds the metrics of s, and starts the series of its ports at zero. A later call
// with another server replaces s.
func (m *Metrics) Watch(s *mtlsguard.Server) {
	for _, p := range s.Status().Ports {
		m.findPort(p.Name)
	}
	m.server.Store(s)
}

// Serve is Watch, and returns a handler for Prometheus with these metrics and those of the process
// and of Go. Set it as mtlsguard.Options.Metrics: the block metrics of the file then names the
// port of the handler, and the policy decides who may read it.
func (m *Metrics) Serve(s *mtlsguard.Server) (http.Handler, error) {
	m.Watch(s)
	r := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}), nil
}

// maxScrapes is the number of scrapes at the same time; further ones get 503.
const maxScrapes = 10

// Describe implements prometheus.Collector.
func (m *collector) Describe(out chan<- *prometheus.Desc) {
	for _, v := range m.collectors() {
		v.Describe(out)
	}
	for _, d := range descriptions {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *collector) Collect(out chan<- prometheus.Metric) {
	for _, v := range m.collectors() {
		v.Collect(out)
	}
	if s := m.server.Load(); s != nil {
		collectServer(s, out)
	}
}

func (m *collector) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.decisions, m.handshakes, m.remaining, m.duration}
}
