package audit

import (
	"context"
	"log/slog"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
	"github.com/mtlsguard/mtlsguard/reason"
)

// LogUpstream logs a request that the service behind a port has not answered.
func (e *Logger) LogUpstream(f upstream.Failure) {
	if !e.log.Enabled(context.Background(), slog.LevelWarn) {
		return
	}
	suppressed, ok := e.sample.take(kind{event: "upstream", outcome: "failed", port: f.Port})
	if !ok {
		return // each request reports the same service
	}
	var r record
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	msg := "the upstream has not answered"
	if f.Status == 0 {
		msg = "the upstream has broken off its answer"
	}
	r.add("event", "upstream")
	r.add("outcome", "failed")
	r.add("reason", string(reason.Upstream))
	r.add("port", f.Port)
	r.add("upstream", f.URL)
	r.add("remote", f.Remote)
	r.printable("user", f.User, maxPeerText)
	r.printable("method", f.Method, maxPeerText)
	r.printable("path", f.Path, maxPeerText)
	if f.Status != 0 {
		r.number("status", uint64(f.Status))
	}
	if f.Retried > 0 {
		r.number("retries", uint64(f.Retried))
	}
	r.add("reference", f.Reference)
	r.add("error", escape.Printable(f.Err.Error(), maxOwnText))
	e.enqueue(slog.LevelWarn, msg, r, e.generation.Load())
}

// LogUpstreamHealth logs that the service behind a port is healthy from now on, or no longer.
func (e *Logger) LogUpstreamHealth(port, url string, err error) {
	level, msg, outcome := slog.LevelInfo, "the upstream is healthy", "ok"
	var r record
	if err != nil {
		level, msg, outcome = slog.LevelWarn, "the upstream is not healthy", "failed"
	}
	r.add("event", "upstream")
	r.add("outcome", outcome)
	r.add("port", port)
	r.add("upstream", url)
	if err != nil {
		r.add("error", escape.Printable(err.Error(), maxOwnText))
	}
	e.enqueue(level, msg, r, e.generation.Load())
}
