package audit

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// LogTunnel logs an event of a tunnel, or of a request for which there was no tunnel.
// port is the name of the registration port, or of reverse on the server that dials.
func (e *Logger) LogTunnel(port string, x reverse.Event) {
	level, event, outcome, msg := slog.LevelInfo, "handshake", "failed", "no tunnel"
	switch x.Kind {
	case reverse.Registered:
		event, outcome, msg = "ready", "ok", "a tunnel is open"
	case reverse.Draining:
		event, outcome, msg = "drain", "ok", "a tunnel takes no more requests"
	case reverse.Gone:
		event, outcome, msg = "drain", "ok", "a tunnel has ended"
	case reverse.Refused:
		if x.Reason != "" {
			level, outcome, msg = slog.LevelWarn, "refuse", "refused"
		}
	case reverse.Unavailable:
		level, event, msg = slog.LevelWarn, "tunnel", "no tunnel was free"
	default:
		level, event, msg = slog.LevelWarn, "tunnel", "a request has broken off"
	}
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	suppressed, ok := e.sample.take(kind{event, outcome, port, string(x.Reason)})
	if !ok {
		return
	}
	var r record
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	r.add("event", event)
	r.add("outcome", outcome)
	r.add("reason", string(x.Reason))
	r.add("port", port)
	r.add("remote", x.Remote)
	r.add("services", escape.Printable(strings.Join(x.Services, ","), maxPeerText))
	if !x.Certificate.IsZero() {
		r.certificate(e.certificates.fieldsOf(x.Certificate))
	}
	if x.Err != nil && !errors.Is(x.Err, net.ErrClosed) { // closed on this side
		r.add("error", escape.Printable(x.Err.Error(), maxPeerText))
	}
	e.enqueue(level, msg, r, e.generation.Load())
}
