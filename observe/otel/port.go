package otel

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

const (
	portKey    = attribute.Key("mtlsguard.port")
	outcomeKey = attribute.Key("mtlsguard.outcome")
	reasonKey  = attribute.Key("mtlsguard.reason")
)

// The words for outcomes, as in the log.
const (
	allow  = "allow"
	ok     = "ok"
	refuse = "refuse"
	failed = "failed" // the client or the network ended it
)

// other stands for what is not of a list. Nothing of ours is.
const other = "other"

// port are the attributes of one port's measurements, made once: counting builds no
// sets.
type port struct {
	allowed    []metric.AddOption
	refused    map[reason.Reason][]metric.AddOption
	finished   map[session][]metric.AddOption
	turnedAway map[reason.Reason][]metric.AddOption
	failed     []metric.AddOption
	alone      []metric.RecordOption
}

// session is how a finished handshake went.
type session struct {
	version string
	resumed bool
}

// Observe counts a decision, and describes it and its caller on the request's active
// span. It is for mtlsguard.Options.Observe, or middleware.Config.Observe where there
// is no Server.
func (t *Telemetry) Observe(r *http.Request, o middleware.Outcome) {
	p := t.port(o.Port)
	options := p.allowed
	if !o.Allowed {
		options = of(p.refused, o.Reason)
	}
	t.decisions.Add(r.Context(), 1, options...)
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetAttributes(t.decided(r, &o)...)
	}
}

// OnHandshake counts a handshake. It is for mtlsguard.Options.OnHandshake, or
// ports.Config.OnHandshake where there is no Server.
func (t *Telemetry) OnHandshake(h ports.Handshake) {
	ctx := context.Background() // a handshake is no part of a trace
	p := t.port(h.Port)
	switch {
	case h.Reason != "":
		t.handshakes.Add(ctx, 1, of(p.turnedAway, h.Reason)...)
		return
	case h.Err != nil:
		t.handshakes.Add(ctx, 1, p.failed...)
		return
	}
	t.handshakes.Add(ctx, 1, p.finished[session{version(h.Version), h.Resumed}]...)
	t.duration.Record(ctx, h.Duration.Seconds(), p.alone...)
	if len(h.Presented) > 0 { // and believed, as the handshake is finished
		t.remaining.Record(ctx, h.Presented[0].NotAfter.Sub(t.now()).Seconds(), p.alone...)
	}
}

func of(all map[reason.Reason][]metric.AddOption, r reason.Reason) []metric.AddOption {
	if options, ok := all[r]; ok {
		return options
	}
	return all[other]
}

// version is a TLS version as the conventions write it.
func version(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return other
}

// port finds the attributes of a port. Its name is the configuration's, and empty for
// a request that came by none.
func (t *Telemetry) port(name string) *port {
	if p, ok := (*t.ports.Load())[name]; ok {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := *t.ports.Load()
	if p, ok := before[name]; ok {
		return p
	}
	after := maps.Clone(before)
	after[name] = newPort(name)
	t.ports.Store(&after)
	return after[name]
}

func newPort(name string) *port {
	of := func(more ...attribute.KeyValue) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(more, portKey.String(name))...))}
	}
	p := &port{
		allowed:    of(outcomeKey.String(allow)),
		refused:    map[reason.Reason][]metric.AddOption{},
		finished:   map[session][]metric.AddOption{},
		turnedAway: map[reason.Reason][]metric.AddOption{},
		failed:     of(outcomeKey.String(failed), semconv.TLSEstablished(false)),
		alone:      []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(portKey.String(name)))},
	}
	for _, r := range append(reason.All(), other) {
		p.refused[r] = of(outcomeKey.String(refuse), reasonKey.String(string(r)))
		p.turnedAway[r] = of(outcomeKey.String(refuse), reasonKey.String(string(r)), semconv.TLSEstablished(false))
	}
	for _, v := range []string{"1.2", "1.3", other} {
		for _, resumed := range []bool{false, true} {
			p.finished[session{v, resumed}] = of(outcomeKey.String(ok), semconv.TLSEstablished(true), semconv.TLSProtocolVersion(v), semconv.TLSResumed(resumed))
		}
	}
	return p
}
