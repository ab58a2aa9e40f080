package prom

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard"
)

// Config says how to measure. The zero value is fine.
type Config struct {
	// Now is the clock that certificates are judged by, as in mtlsguard.Options; nil is
	// time.Now.
	Now func() time.Time
	// Remaining are the upper bounds of the histogram of what client certificates have
	// left, in ascending order; nil is from nothing to a year.
	Remaining []time.Duration
}

const day = 24 * time.Hour

var (
	remaining = []time.Duration{
		0, 10 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, day, 2 * day, 4 * day, 7 * day,
		14 * day, 30 * day, 60 * day, 90 * day, 180 * day, 365 * day,
	}
	handshakeSeconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// Metrics counts what it is told of, and is a prometheus.Collector. It is safe for
// concurrent use. Make one with New.
type Metrics struct {
	now    func() time.Time
	server atomic.Pointer[mtlsguard.Server]

	mu    sync.Mutex                       // for adding a port
	ports atomic.Pointer[map[string]*port] // never changed, only replaced

	decisions, handshakes *prometheus.CounterVec
	remaining, duration   *prometheus.HistogramVec
}

// New makes the metrics. Every mistake of the Config is reported at once.
func New(c Config) (*Metrics, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Remaining == nil {
		c.Remaining = remaining
	}
	var bounds []float64
	var wrong []error
	for i, d := range c.Remaining {
		if i > 0 && d <= c.Remaining[i-1] {
			wrong = append(wrong, fmt.Errorf("prom: Remaining[%d], %s, is not above the one before it", i, d))
		}
		bounds = append(bounds, d.Seconds())
	}
	if len(bounds) == 0 {
		wrong = append(wrong, errors.New("prom: Remaining has no bound; leave it out for the usual ones"))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	m := &Metrics{
		now: c.Now,
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtlsguard_decisions_total", Help: "Requests decided: outcome is allow or refuse, reason the word for why.",
		}, []string{"port", "outcome", "reason"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mtlsguard_handshakes_total", Help: "TLS handshakes: outcome is ok, refuse, or failed where the client or the network ended it.",
		}, []string{"port", "outcome", "reason", "version", "resumed"}),
		remaining: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtlsguard_client_certificate_remaining_seconds", Help: "What client certificates have left when they connect, by finished handshakes.",
			Buckets: bounds,
		}, []string{"port"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mtlsguard_handshake_duration_seconds", Help: "How long finished TLS handshakes took, waiting for the client included.",
			Buckets: handshakeSeconds,
		}, []string{"port"}),
	}
	m.ports.Store(&map[string]*port{})
	return m, nil
}

// Watch also tells of what s has in force, and begins the series of its ports at
// zero. Another server replaces s.
func (m *Metrics) Watch(s *mtlsguard.Server) {
	for _, p := range s.Status().Ports {
		m.port(p.Name)
	}
	m.server.Store(s)
}

// Describe is part of prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, v := range m.counted() {
		v.Describe(out)
	}
	for _, d := range described {
		out <- d
	}
}

// Collect is part of prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, v := range m.counted() {
		v.Collect(out)
	}
	if s := m.server.Load(); s != nil {
		collect(s, out)
	}
}

func (m *Metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.decisions, m.handshakes, m.remaining, m.duration}
}
