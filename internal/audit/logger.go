// Package audit writes the log lines of a server: decisions, handshakes, tunnels,
// reloads, and the errors of net/http.
package audit

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/internal/probemark"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Logger writes events: constant messages, and the same few fields in all of them.
// Text from a peer is escaped and cut to a fixed length.
//
// No method but Flush waits for the log: records go through a bounded backlog. Records
// that do not fit are dropped, and the next line reports how many. A decision never
// depends on the log. A Logger is safe for concurrent use.
type Logger struct {
	log        *slog.Logger
	generation *atomic.Uint64 // the current one
	lines      *jsonLog       // the handler of log, where JSONLog made it; else nil
	backlog    *backlog.Queue[entry]
	reported   uint64 // how many dropped records were reported; only the backlog's goroutine uses it
	batch      []byte // lines to write together; only the backlog's goroutine uses it
	sample     sampler
	stale      atomic.Bool // the last reload has failed

	closed  closedCounter
	nearest *expire.Cache[string] // by certificate, generation and port

	mu           sync.RWMutex
	certificates map[trust.Digest]*certificateFields // of verified certificates
}

// entry is one element of the backlog: a record, or a finished line.
type entry struct {
	record *slog.Record
	line   *jsonLine
}

const (
	maxQueued       = 16384       // records
	maxCertificates = 4096        // certificates
	flushTimeout    = time.Second // how long Flush waits
)

// New returns a Logger that writes to l. nil discards everything. The Logger reads the
// current generation from number.
func New(l *slog.Logger, number *atomic.Uint64) *Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	e := &Logger{log: l, generation: number, nearest: expire.New[string](maxNearest, nearestTime)}
	e.lines, _ = l.Handler().(*jsonLog)
	e.backlog = backlog.New(maxQueued, e.writeAll)
	return e
}

// writeAll writes entries of the backlog. A line about dropped records comes first.
func (e *Logger) writeAll(all []entry) {
	if dropped := e.backlog.Dropped(); dropped > e.reported {
		note := slog.NewRecord(time.Now(), slog.LevelError, "the log is too slow: lines were dropped", 0)
		note.AddAttrs(slog.Uint64("dropped", dropped-e.reported))
		e.reported = dropped
		e.writeRecord(note)
	}
	for _, one := range all {
		if one.record != nil {
			e.writeBatch()
			e.writeRecord(*one.record)
			continue
		}
		e.batch = append(e.batch, one.line.text...)
		one.line.free()
		if len(e.batch) >= fullBatch {
			e.writeBatch()
		}
	}
	e.writeBatch()
}

const fullBatch = 64 << 10

// writeBatch writes the lines of the batch.
func (e *Logger) writeBatch() {
	if len(e.batch) == 0 {
		return
	}
	defer func() { _ = recover(); e.batch = e.batch[:0] }() // as in writeRecord
	_, _ = e.lines.out.Write(e.batch)
}

// writeRecord passes one record to the log's handler. An error of the handler cannot be
// reported anywhere. A panic of the handler is recovered: it would end the process.
func (e *Logger) writeRecord(r slog.Record) {
	defer func() { _ = recover() }()
	_ = e.log.Handler().Handle(context.Background(), r)
}

// Flush waits until the log has written everything, at most flushTimeout. No request
// calls it.
func (e *Logger) Flush() {
	e.logClosed()
	e.backlog.Wait(flushTimeout)
}

// Enabled reports whether lines of a level are logged.
func (e *Logger) Enabled(level slog.Level) bool { return e.log.Enabled(context.Background(), level) }

// Dropped counts the lines that were dropped because the log was too slow.
func (e *Logger) Dropped() uint64 { return e.backlog.Dropped() }

// record collects fields. It leaves empty ones out.
type record []slog.Attr

func (r *record) add(key, value string) {
	if value != "" {
		*r = append(*r, slog.String(key, value))
	}
}

func (r *record) number(key string, value uint64) { *r = append(*r, slog.Uint64(key, value)) }

func (r *record) mark(key string) { *r = append(*r, slog.Bool(key, true)) }

func (r *record) certificate(k *certificateFields) { *r = append(*r, k.fields...) }

// fieldAdder takes the fields of an event: a record, or a line of JSON.
type fieldAdder interface {
	add(key, value string) // does nothing if value is empty
	number(key string, value uint64)
	mark(key string) // a field that is true
	certificate(*certificateFields)
}

func (e *Logger) enqueue(level slog.Level, msg string, r record, generation uint64) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, msg, 0)
	line.AddAttrs(r...)
	line.AddAttrs(slog.Uint64("generation", generation))
	if e.stale.Load() {
		line.AddAttrs(slog.Bool("stale", true))
	}
	e.backlog.Offer(entry{record: &line})
}

// SetStale marks every line from now on as written under an older configuration than the
// files hold, because the last reload failed, or no longer.
func (e *Logger) SetStale(stale bool) { e.stale.Store(stale) }

// LogEvent logs an event that has no fields of its own.
func (e *Logger) LogEvent(event, msg, outcome string) {
	var r record
	r.add("event", event)
	r.add("outcome", outcome)
	e.enqueue(slog.LevelInfo, msg, r, e.generation.Load())
}

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
		if suppressed, ok = e.sample.take(kind{"decision", outcome, o.Port, string(o.Reason)}); !ok {
			return // counted, and reported with the next line of this kind
		}
	}
	if e.lines != nil {
		line := beginLine(time.Now(), level, "decision")
		e.addDecision(line, req, o, nearest, suppressed)
		line.number("generation", o.Generation)
		if e.stale.Load() {
			line.mark("stale")
		}
		line.end()
		if !e.backlog.Offer(entry{line: line}) {
			line.free()
		}
		return
	}
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
	r.add("event", "decision")
	r.add("outcome", outcome)
	r.add("reason", string(o.Reason))
	r.add("port", o.Port)
	r.add("remote", req.RemoteAddr)
	if o.Identity != nil {
		r.add("user", o.Identity.User)
		r.add("mapping", o.Identity.MappingID)
	} else {
		r.add("user", escape.Printable(o.ClaimedUser, maxPeerText)) // only with reason bad-credentials
	}
	r.add("method", escape.Printable(o.Method, maxPeerText))
	r.add("path", escape.Printable(o.Path, maxPeerText))
	r.add("rule", o.Rule.String())
	if !o.Gateway.IsZero() {
		r.add("gateway", o.Gateway.Fingerprint().String())
	}
	if !o.Verified.IsZero() {
		r.certificate(e.fieldsOf(o.Verified))
	}
	if !o.Allowed {
		e.addRefusal(r, req, o, nearest)
	}
	if probemark.InRequest(req) {
		r.mark("probe")
	}
	r.add("reference", o.Reference)
	r.add("error", escape.Printable(o.Detail, maxOwnText)) // may come from an authenticator of the program
	r.number("duration", uint64(max(o.Duration, 0)))       // nanoseconds, as slog writes a Duration in JSON
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

// isAnonymous reports whether anybody at all could have sent the request.
func isAnonymous(id *identity.Identity) bool { return id == nil || id.Via == identity.ViaAnonymous }

// recordOf returns the fields of a leaf, escaped.
func recordOf(leaf *x509.Certificate, fingerprint trust.Digest) record {
	r := make(record, 0, 5)
	r.add("fingerprint", fingerprint.String())
	subject := ""
	if name, err := dn.FromDER(leaf.RawSubject); err == nil {
		subject = name.String()
	} else {
		subject = dn.Print(&leaf.Subject)
	}
	r.add("subject", escape.Printable(subject, maxPeerText))
	r.add("issuer", escape.Printable(dn.Print(&leaf.Issuer), maxPeerText))
	r.add("serial", escape.Printable(serial(leaf), maxPeerText)) // crypto/x509 limits no serial number
	return r
}

// certificateFields are the fields of a certificate: as a record, and as part of a line
// of JSON.
type certificateFields struct {
	fields record
	line   []byte
	issuer *x509.Certificate // named in the fields: the same leaf may come with another chain
}

// fieldsOf returns the fields of a verified certificate from a cache of maxCertificates:
// making them costs more than the decision. A certificate that is not verified never
// gets here, so a stranger cannot fill the cache.
func (e *Logger) fieldsOf(v trust.Verified) *certificateFields {
	key := v.Fingerprint()
	e.mu.RLock()
	k := e.certificates[key]
	e.mu.RUnlock()
	issuer := v.Issuer()
	if k != nil && sameCertificate(k.issuer, issuer) {
		return k
	}
	r := recordOf(v.Leaf(), key)
	if issuer != nil {
		r.add("issuer_fingerprint", trust.FingerprintOf(issuer).String())
	}
	k = &certificateFields{fields: r, issuer: issuer}
	for _, f := range r {
		k.line = appendField(k.line, f.Key, f.Value.String())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.certificates == nil || len(e.certificates) >= maxCertificates {
		e.certificates = map[trust.Digest]*certificateFields{}
	}
	e.certificates[key] = k
	return k
}

func sameCertificate(a, b *x509.Certificate) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.Raw, b.Raw)
}

// serial returns a serial number as openssl prints it.
func serial(c *x509.Certificate) string {
	s := fmt.Sprintf("%X", c.SerialNumber)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

// LogHandshake logs the end of one handshake. These lines are sampled.
func (e *Logger) LogHandshake(h ports.Handshake) {
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

// LogSuppressed logs how many lines of each kind sampling has left out, if no line of
// that kind was written during the last quiet.
func (e *Logger) LogSuppressed(quiet time.Duration) {
	for k, suppressed := range e.sample.takeSuppressed(quiet) {
		var r record
		r.add("event", k.event) // no outcome: this is not a decision
		r.add("reason", k.reason)
		r.add("port", k.port)
		r.number("suppressed", suppressed)
		e.enqueue(slog.LevelWarn, "lines were left out", r, e.generation.Load())
	}
}

func remote(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// LogReloadFailure logs the configuration errors of a reload, one line each, so that each
// line names its file: at most three of one file, and at most ten.
func (e *Logger) LogReloadFailure(path string, err error) {
	errs := configerror.All(err)
	if len(errs) == 0 {
		errs = []*configerror.Error{{File: path, What: err.Error()}}
	}
	written, ofFile := 0, map[string]int{}
	for _, m := range errs {
		if ofFile[m.File]++; ofFile[m.File] > 3 || written == 10 {
			continue
		}
		written++
		var r record
		r.add("event", "reload")
		r.add("outcome", "failed")
		r.add("file", m.File)
		r.add("error", escape.Printable(m.Error(), maxOwnText))
		e.enqueue(slog.LevelWarn, "reload failed, the last good configuration stays in effect", r, e.generation.Load())
	}
}

// LogHalfRenewed logs that of a certificate and its key only one has been renewed so far.
func (e *Logger) LogHalfRenewed(path string, err error) {
	if errs := configerror.All(err); len(errs) > 0 {
		path = errs[0].File
	}
	var r record
	r.add("event", "reload") // no outcome: it has not failed yet
	r.add("file", path)
	r.add("error", escape.Printable(err.Error(), maxOwnText))
	e.enqueue(slog.LevelInfo, "waiting for the other file of a renewed certificate", r, e.generation.Load())
}

// LogDegraded logs that a degradation of the server begins or ends.
func (e *Logger) LogDegraded(what string, begins bool) {
	level, msg, outcome := slog.LevelWarn, "degraded", "failed"
	if !begins {
		level, msg, outcome = slog.LevelInfo, "no longer degraded", "ok"
	}
	var r record
	r.add("event", "degraded")
	r.add("outcome", outcome)
	r.add("error", escape.Printable(what, maxOwnText))
	e.enqueue(level, msg, r, e.generation.Load())
}

// LogWarnings logs each warning as one line.
func (e *Logger) LogWarnings(all []configerror.Finding) {
	for _, w := range all {
		var r record
		r.add("event", "reload") // no outcome: a warning is none
		r.add("file", w.File)
		r.add("error", escape.Printable(w.String(), maxOwnText))
		e.enqueue(slog.LevelWarn, "warning", r, e.generation.Load())
	}
}

const (
	maxPeerText = 256             // bytes of a text from a peer
	maxOwnText  = 4 * maxPeerText // bytes of a text about files
)
