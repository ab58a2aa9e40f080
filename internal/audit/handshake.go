package audit

import (
	"context"
	"log/slog"
	"net"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// LogHandshake logs the end of one handshake. These lines are sampled.
func (e *Logger) LogHandshake(h ports.Handshake) {
	if h.Proxy != nil && !e.proxies.Load() {
		e.proxies.Store(true)
	}
	level, outcome := slog.LevelDebug, "ok"
	switch {
	case h.Reason != "":
		level, outcome = slog.LevelWarn, "refuse"
	case h.Err != nil:
		level, outcome = slog.LevelInfo, "failed" // the client or the network ended it
	}
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	suppressed, ok := e.sample.take(kind{"handshake", outcome, h.Port, string(h.Reason)})
	if !ok {
		return
	}
	var r record
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	r.add("event", "handshake")
	r.add("outcome", outcome)
	r.add("reason", string(h.Reason))
	r.add("port", h.Port)
	r.add("remote", remote(h.Remote))
	r.add("via_proxy", remote(h.Proxy))
	if len(h.Presented) > 0 {
		r = append(r, recordOf(h.Presented[0], trust.FingerprintOf(h.Presented[0]))...)
	}
	if h.Reason != "" {
		addLeaf(&r, h.Presented, nil)
		addServerName(&r, h.ServerName)
	}
	if h.Probe {
		r.mark("probe")
	}
	if h.Err != nil {
		r.add("error", errorText(h.Err))
	}
	e.enqueue(level, "handshake", r, e.generation.Load())
}

func remote(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}
