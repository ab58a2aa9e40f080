package audit

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probemark"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Nearest describes the mapping that comes nearest to a certificate that none matches. It
// returns "" where there is none.
type Nearest func(trust.Verified, string) string

// LogDecision logs the outcome of one request. Lines about anonymous requests are sampled.
// nearest may be nil; it is called only for a line that is written.
func (e *Logger) LogDecision(req *http.Request, o *middleware.Outcome, nearest Nearest) {
	level, outcome := slog.LevelInfo, "allow"
	if !o.Allowed {
		level, outcome = slog.LevelWarn, "refuse"
	}
	if o.Reason == reason.NoPort {
		level = slog.LevelError // an error of the program, not of the caller
	}
	if !e.log.Enabled(req.Context(), level) {
		return
	}
	var suppressed uint64
	if isAnonymous(o.Identity) {
		var ok bool
		if suppressed, ok = e.sampleDecision(outcome, o); !ok {
			return // counted, and reported with the next line of this kind
		}
	}
	if e.lines == nil {
		e.recordDecision(level, req, o, nearest, suppressed)
		return
	}
	line := freeLines.Get().(*jsonLine)
	line.begin(time.Now(), level, "decision")
	e.addDecision(line, req, o, nearest, suppressed)
	line.number("generation", o.Generation)
	if e.stale.Load() {
		line.mark("stale")
	}
	e.putLine(line)
}

// The functions below are not inlined into LogDecision. A stream of HTTP/2 runs on a new goroutine
// with a small stack. The log adds some 550 bytes to the depth of the guard. With 600 bytes the
// stack was copied once more, which cost four times the processor time of the line.

//go:noinline
func (e *Logger) sampleDecision(outcome string, o *middleware.Outcome) (suppressed uint64, ok bool) {
	return e.sample.take(kind{"decision", outcome, o.Port, string(o.Reason)})
}

//go:noinline
func (e *Logger) recordDecision(level slog.Level, req *http.Request, o *middleware.Outcome, nearest Nearest, suppressed uint64) {
	r := make(record, 0, 26)
	e.addDecision(&r, req, o, nearest, suppressed)
	e.enqueue(level, "decision", r, o.Generation)
}

// addDecision adds the fields of a decision.
func (e *Logger) addDecision(r fieldAdder, req *http.Request, o *middleware.Outcome, nearest Nearest, suppressed uint64) {
	outcome := "allow"
	if !o.Allowed {
		outcome = "refuse"
	}
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	r.word("event", "decision")
	r.word("outcome", outcome)
	r.add("reason", string(o.Reason))
	r.add("port", o.Port)
	r.add("remote", req.RemoteAddr)
	if e.proxies.Load() { // else no context is searched
		addProxy(r, req)
	}
	r.add("client_ip", o.ClientIP)
	if o.Identity != nil {
		r.add("user", o.Identity.User)
		r.add("mapping", o.Identity.MappingID)
	} else {
		r.printable("user", o.ClaimedUser, maxPeerText) // only with reason bad-credentials
	}
	r.printable("method", o.Method, maxPeerText)
	r.printable("path", o.Path, maxPeerText)
	r.position("rule", o.Rule)
	if !o.Gateway.IsZero() {
		r.digest("gateway", o.Gateway.Fingerprint())
	}
	if !o.Verified.IsZero() {
		r.certificate(e.certificates.fieldsOf(o.Verified))
	}
	if !o.Allowed {
		e.addRefusal(r, req, o, nearest)
	}
	if probemark.InRequest(req) {
		r.mark("probe")
	}
	r.add("reference", o.Reference)
	r.printable("error", o.Detail, maxOwnText)       // may come from an authenticator of the program
	r.number("duration", uint64(max(o.Duration, 0))) // nanoseconds, as slog writes a Duration in JSON
}

// addProxy adds the proxy whose PROXY header has the caller's address.
//
//go:noinline
func addProxy(r fieldAdder, req *http.Request) {
	if c, ok := ports.FromContext(req.Context()); ok {
		r.add("via_proxy", remote(c.Proxy()))
	}
}

// LogDifference logs that Casbin and the engine decide differently: a defect in this module.
func (e *Logger) LogDifference(d shadow.Difference) {
	var r record
	r.add("event", "decision")
	r.add("outcome", "failed")
	r.add("port", d.Request.Port)
	r.add("user", d.Request.User)
	r.add("method", escape.Printable(d.Request.Method, maxPeerText))
	r.add("path", escape.Printable(d.Request.Path, maxPeerText))
	r.add("rule", d.Engine.Rule.String())
	why := fmt.Sprintf("the engine: allowed=%t, Casbin: allowed=%t", d.Engine.Allowed, d.Casbin)
	if d.Err != nil {
		why = "Casbin could not decide: " + escape.Printable(d.Err.Error(), maxPeerText)
	}
	r.add("error", why)
	e.enqueue(slog.LevelError, "Casbin decides otherwise", r, e.generation.Load())
}

// isAnonymous reports whether any client could have sent the request.
func isAnonymous(id *identity.Identity) bool { return id == nil || id.Via == identity.ViaAnonymous }
