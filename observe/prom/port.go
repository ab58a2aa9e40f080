package prom

import (
	"crypto/tls"
	"maps"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// port holds the series of one port. They are looked up once, because the look-up in a
// CounterVec takes a lock.
type port struct {
	allowedRequests    prometheus.Counter
	refusedRequests    map[reason.Reason]prometheus.Counter
	finishedHandshakes map[session]prometheus.Counter
	refusedHandshakes  map[reason.Reason]prometheus.Counter
	failedHandshakes   prometheus.Counter
	remaining          prometheus.Observer
	duration           prometheus.Observer
}

// session is the kind of a finished handshake.
type session struct {
	version uint16
	resumed bool
}

// versions lists the TLS versions of ports.
var versions = map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}

// otherReason is the label of a reason or version outside the closed lists. mtlsguard
// itself uses none.
const otherReason = "other"

// Observe counts a decision. Set it as mtlsguard.Options.Observe, or as
// middleware.Config.Observe in a program without a Server.
func (m *Metrics) Observe(_ *http.Request, o middleware.Outcome) {
	p := m.findPort(o.Port)
	if o.Allowed {
		p.allowedRequests.Inc()
		return
	}
	c, ok := p.refusedRequests[o.Reason]
	if !ok {
		c = m.decisions.WithLabelValues(o.Port, "refuse", otherReason)
	}
	c.Inc()
}

// OnHandshake counts a handshake. Set it as mtlsguard.Options.OnHandshake, or as
// ports.Config.OnHandshake in a program without a Server.
func (m *Metrics) OnHandshake(h ports.Handshake) {
	p := m.findPort(h.Port)
	switch {
	case h.Reason != "":
		c, ok := p.refusedHandshakes[h.Reason]
		if !ok {
			c = m.handshakes.WithLabelValues(h.Port, "refuse", otherReason, "", "")
		}
		c.Inc()
		return
	case h.Err != nil:
		p.failedHandshakes.Inc()
		return
	}
	c, ok := p.finishedHandshakes[session{h.Version, h.Resumed}]
	if !ok {
		c = m.handshakes.WithLabelValues(h.Port, "ok", "", otherReason, strconv.FormatBool(h.Resumed))
	}
	c.Inc()
	p.duration.Observe(h.Duration.Seconds())
	if len(h.Presented) > 0 { // a finished handshake has verified the certificate
		p.remaining.Observe(h.Presented[0].NotAfter.Sub(m.now()).Seconds())
	}
}

// findPort returns the series of a port. The name is "" for a request that did not come
// through a port.
func (m *Metrics) findPort(name string) *port {
	if p, ok := (*m.ports.Load())[name]; ok {
		return p
	}
	return m.addPort(name)
}

// addPort creates the series of a port, unless another call has created them.
func (m *Metrics) addPort(name string) *port {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := *m.ports.Load()
	if p, ok := before[name]; ok {
		return p
	}
	p := &port{
		allowedRequests:    m.decisions.WithLabelValues(name, "allow", ""),
		refusedRequests:    map[reason.Reason]prometheus.Counter{},
		finishedHandshakes: map[session]prometheus.Counter{},
		refusedHandshakes:  map[reason.Reason]prometheus.Counter{},
		failedHandshakes:   m.handshakes.WithLabelValues(name, "failed", "", "", ""),
		remaining:          m.remaining.WithLabelValues(name),
		duration:           m.duration.WithLabelValues(name),
	}
	for _, r := range reason.All() {
		p.refusedRequests[r] = m.decisions.WithLabelValues(name, "refuse", string(r))
		p.refusedHandshakes[r] = m.handshakes.WithLabelValues(name, "refuse", string(r), "", "")
	}
	for v, text := range versions {
		for _, resumed := range []bool{false, true} {
			p.finishedHandshakes[session{v, resumed}] = m.handshakes.WithLabelValues(name, "ok", "", text, strconv.FormatBool(resumed))
		}
	}
	after := maps.Clone(before)
	after[name] = p
	m.ports.Store(&after)
	return p
}
