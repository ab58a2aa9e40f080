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

// The outcomes, as in the log.
const (
	allow  = "allow"
	ok     = "ok"
	refuse = "refuse"
	failed = "failed" // the client or the network ended the handshake
)

// other is the value of a reason or version outside the closed lists. mtlsguard itself uses
// none.
const other = "other"

// port holds the attributes of one port's measurements. They are built once, because
// building a set allocates.
type port struct {
	allowedRequests    []metric.AddOption
	refusedRequests    map[reason.Reason][]metric.AddOption
	finishedHandshakes map[session][]metric.AddOption
	refusedHandshakes  map[reason.Reason][]metric.AddOption
	failedHandshakes   []metric.AddOption
	portOnly           []metric.RecordOption
}

// session is the kind of a finished handshake.
type session struct {
	version string
	resumed bool
}

// Observe counts a decision, and sets the attributes of the decision and its caller on
// the request's active span. Set it as mtlsguard.Options.Observe, or as
// middleware.Config.Observe in a program without a Server.
func (t *Telemetry) Observe(r *http.Request, o middleware.Outcome) {
	p := t.findPort(o.Port)
	options := p.allowedRequests
	if !o.Allowed {
		options = optionsFor(p.refusedRequests, o.Reason)
	}
	t.decisions.Add(r.Context(), 1, options...)
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetAttributes(t.decisionAttributes(r, &o)...)
	}
}

// OnHandshake counts a handshake. Set it as mtlsguard.Options.OnHandshake, or as
// ports.Config.OnHandshake in a program without a Server.
func (t *Telemetry) OnHandshake(h ports.Handshake) {
	ctx := context.Background() // a handshake has no trace
	p := t.findPort(h.Port)
	switch {
	case h.Reason != "":
		t.handshakes.Add(ctx, 1, optionsFor(p.refusedHandshakes, h.Reason)...)
		return
	case h.Err != nil:
		t.handshakes.Add(ctx, 1, p.failedHandshakes...)
		return
	}
	t.handshakes.Add(ctx, 1, p.finishedHandshakes[session{tlsVersion(h.Version), h.Resumed}]...)
	t.duration.Record(ctx, h.Duration.Seconds(), p.portOnly...)
	if len(h.Presented) > 0 { // a finished handshake has verified the certificate
		t.remaining.Record(ctx, h.Presented[0].NotAfter.Sub(t.now()).Seconds(), p.portOnly...)
	}
}

// optionsFor returns the options of a reason.
func optionsFor(all map[reason.Reason][]metric.AddOption, r reason.Reason) []metric.AddOption {
	if options, ok := all[r]; ok {
		return options
	}
	return all[other]
}

// tlsVersion returns a TLS version as the conventions write it.
func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return other
}

// findPort returns the attributes of a port. The name is "" for a request that did not
// come through a port.
func (t *Telemetry) findPort(name string) *port {
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

// newPort builds the attributes of a port.
func newPort(name string) *port {
	of := func(more ...attribute.KeyValue) []metric.AddOption {
		return []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(append(more, portKey.String(name))...))}
	}
	p := &port{
		allowedRequests:    of(outcomeKey.String(allow)),
		refusedRequests:    map[reason.Reason][]metric.AddOption{},
		finishedHandshakes: map[session][]metric.AddOption{},
		refusedHandshakes:  map[reason.Reason][]metric.AddOption{},
		failedHandshakes:   of(outcomeKey.String(failed), semconv.TLSEstablished(false)),
		portOnly:           []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(portKey.String(name)))},
	}
	for _, r := range append(reason.All(), other) {
		p.refusedRequests[r] = of(outcomeKey.String(refuse), reasonKey.String(string(r)))
		p.refusedHandshakes[r] = of(outcomeKey.String(refuse), reasonKey.String(string(r)), semconv.TLSEstablished(false))
	}
	for _, v := range []string{"1.2", "1.3", other} {
		for _, resumed := range []bool{false, true} {
			p.finishedHandshakes[session{v, resumed}] = of(outcomeKey.String(ok), semconv.TLSEstablished(true), semconv.TLSProtocolVersion(v), semconv.TLSResumed(resumed))
		}
	}
	return p
}
