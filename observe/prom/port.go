package prom

import (
	"crypto/tls"
	"maps"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// port are the series of one port, found once: counting looks up nothing that locks.
type port struct {
	allowed    prometheus.Counter
	refused    map[reason.Reason]prometheus.Counter // requests
	finished   map[session]prometheus.Counter       // handshakes
	turnedAway map[reason.Reason]prometheus.Counter // likewise
	failed     prometheus.Counter                   // likewise
	remaining  prometheus.Observer
	duration   prometheus.Observer
}

// session is how a finished handshake went.
type session struct {
	version uint16
	resumed bool
}

// versions are those that a port can speak.
var versions = map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}

// other stands for what is not of a list. Nothing of ours is.
const other = "other"

// Observe counts a decision. It is for mtlsguard.Options.Observe, or
// middleware.Config.Observe where there is no Server.
func (m *Metrics) Observe(_ *http.Request, o middleware.Outcome) {
	p := m.port(o.Port)
	if o.Allowed {
		p.allowed.Inc()
		return
	}
	c, ok := p.refused[o.Reason]
	if !ok {
		c = m.decisions.WithLabelValues(o.Port, "refuse", other)
	}
	c.Inc()
}

// OnHandshake counts a handshake. It is for mtlsguard.Options.OnHandshake, or
// ports.Config.OnHandshake where there is no Server.
func (m *Metrics) OnHandshake(h ports.Handshake) {
	p := m.port(h.Port)
	switch {
	case h.Reason != "":
		c, ok := p.turnedAway[h.Reason]
		if !ok {
			c = m.handshakes.WithLabelValues(h.Port, "refuse", other, "", "")
		}
		c.Inc()
		return
	case h.Err != nil:
		p.failed.Inc()
		return
	}
	c, ok := p.finished[session{h.Version, h.Resumed}]
	if !ok {
		c = m.handshakes.WithLabelValues(h.Port, "ok", "", other, yesNo(h.Resumed))
	}
	c.Inc()
	p.duration.Observe(h.Duration.Seconds())
	if len(h.Presented) > 0 { // and believed, as the handshake is finished
		p.remaining.Observe(h.Presented[0].NotAfter.Sub(m.now()).Seconds())
	}
}

// port finds the series of a port. Its name is the configuration's, and empty for a
// request that came by none.
func (m *Metrics) port(name string) *port {
	if p, ok := (*m.ports.Load())[name]; ok {
		return p
	}
	return m.add(name)
}

func (m *Metrics) add(name string) *port {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := *m.ports.Load()
	if p, ok := before[name]; ok {
		return p
	}
	p := &port{
		allowed:    m.decisions.WithLabelValues(name, "allow", ""),
		refused:    map[reason.Reason]prometheus.Counter{},
		finished:   map[session]prometheus.Counter{},
		turnedAway: map[reason.Reason]prometheus.Counter{},
		failed:     m.handshakes.WithLabelValues(name, "failed", "", "", ""),
		remaining:  m.remaining.WithLabelValues(name),
		duration:   m.duration.WithLabelValues(name),
	}
	for _, r := range reason.All() {
		p.refused[r] = m.decisions.WithLabelValues(name, "refuse", string(r))
		p.turnedAway[r] = m.handshakes.WithLabelValues(name, "refuse", string(r), "", "")
	}
	for v, text := range versions {
		for _, resumed := range []bool{false, true} {
			p.finished[session{v, resumed}] = m.handshakes.WithLabelValues(name, "ok", "", text, yesNo(resumed))
		}
	}
	after := maps.Clone(before)
	after[name] = p
	m.ports.Store(&after)
	return p
}

func yesNo(b bool) string {
	if b {
		return "true"
	}
	return "false"
}
