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

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mistake"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// events writes what happened: constant messages, and the same few fields
// everywhere. Nothing that a caller wrote gets in unescaped or without end.
//
// Nobody waits for the log: records go to it through a bounded backlog. What does
// not fit is dropped, counted and told; a decision is made the same with it or
// without.
type Logger struct {
	log     *slog.Logger
	number  *atomic.Uint64 // the generation in force
	lines   *jsonLog       // log's, where it is one of ours
	backlog *backlog.Queue[entry]
	told    uint64 // of the dropped ones; the backlog's goroutine's own
	batch   []byte // lines that go out together; likewise
	sample  sampler

	mu    sync.RWMutex
	known map[trust.Digest]*known // of believed certificates
}

// entry is what waits for the log: a record, or a finished line.
type entry struct {
	record *slog.Record
	line   *jsonLine
}

const (
	mostWaiting = 16384       // records
	mostKnown   = 4096        // certificates
	lastWords   = time.Second // for the log to take what is left when the server ends
)

func New(l *slog.Logger, number *atomic.Uint64) *Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	e := &Logger{log: l, number: number}
	e.lines, _ = l.Handler().(*jsonLog)
	e.backlog = backlog.New(mostWaiting, e.hand)
	return e
}

// hand gives to the log what waits for it, and first says what was dropped.
func (e *Logger) hand(all []entry) {
	if dropped := e.backlog.Dropped(); dropped > e.told {
		note := slog.NewRecord(time.Now(), slog.LevelError, "the log is too slow: lines were dropped", 0)
		note.AddAttrs(slog.Uint64("dropped", dropped-e.told))
		e.told = dropped
		e.handle(note)
	}
	for _, one := range all {
		if one.record != nil {
			e.send()
			e.handle(*one.record)
			continue
		}
		e.batch = append(e.batch, one.line.text...)
		one.line.free()
		if len(e.batch) >= fullBatch {
			e.send()
		}
	}
	e.send()
}

const fullBatch = 64 << 10

// send writes the lines of the batch.
func (e *Logger) send() {
	if len(e.batch) == 0 {
		return
	}
	defer func() { _ = recover(); e.batch = e.batch[:0] }() // as in handle
	_, _ = e.lines.out.Write(e.batch)
}

// handle gives one record to the log. A log that fails has nobody to tell; one that
// panics would end the process, as nothing recovers here but this.
func (e *Logger) handle(r slog.Record) {
	defer func() { _ = recover() }()
	_ = e.log.Handler().Handle(context.Background(), r)
}

// flush waits for the log, but not for ever. Nobody calls it on a request's way.
func (e *Logger) Flush() { e.backlog.Wait(lastWords) }

// enabled reports whether lines of a level are logged.
func (e *Logger) Enabled(level slog.Level) bool { return e.log.Enabled(context.Background(), level) }

// dropped counts the lines that the log was too slow for.
func (e *Logger) Dropped() uint64 { return e.backlog.Dropped() }

// record collects fields and leaves empty ones out.
type record []slog.Attr

func (r *record) add(key, value string) {
	if value != "" {
		*r = append(*r, slog.String(key, value))
	}
}

func (r *record) number(key string, value uint64) { *r = append(*r, slog.Uint64(key, value)) }

func (r *record) certificate(k *known) { *r = append(*r, k.fields...) }

// fields is what an event's fields are added to: a record, or a line.
type fields interface {
	add(key, value string) // leaves an empty value out
	number(key string, value uint64)
	certificate(*known)
}

func (e *Logger) write(level slog.Level, msg string, r record, generation uint64) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	line := slog.NewRecord(time.Now(), level, msg, 0)
	line.AddAttrs(r...)
	line.AddAttrs(slog.Uint64("generation", generation))
	e.backlog.Offer(entry{record: &line})
}

// note writes an event that has no fields of its own.
func (e *Logger) LogEvent(event, msg, outcome string) {
	var r record
	r.add("event", event)
	r.add("outcome", outcome)
	e.write(slog.LevelInfo, msg, r, e.number.Load())
}

func (e *Logger) LogDecision(req *http.Request, o *middleware.Outcome) {
	level, outcome := slog.LevelInfo, "allow"
	if !o.Allowed {
		level, outcome = slog.LevelWarn, "refuse"
	}
	if !e.log.Enabled(req.Context(), level) {
		return
	}
	var suppressed uint64
	if stranger(o.Identity) {
		var ok bool
		if suppressed, ok = e.sample.take(kind{"decision", outcome, o.Port, string(o.Reason)}); !ok {
			return // counted, and told with the next line of their kind
		}
	}
	if e.lines != nil {
		line := beginLine(time.Now(), level, "decision")
		e.describe(line, req, o, outcome, suppressed)
		line.number("generation", o.Generation)
		line.end()
		if !e.backlog.Offer(entry{line: line}) {
			line.free()
		}
		return
	}
	r := make(record, 0, 20)
	e.describe(&r, req, o, outcome, suppressed)
	e.write(level, "decision", r, o.Generation)
}

// describe adds the fields of a decision.
func (e *Logger) describe(r fields, req *http.Request, o *middleware.Outcome, outcome string, suppressed uint64) {
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
	}
	r.add("method", escape.Printable(o.Method, longest))
	r.add("path", escape.Printable(o.Path, longest))
	r.add("rule", o.Rule)
	if !o.Gateway.IsZero() {
		r.add("gateway", o.Gateway.Fingerprint().String())
	}
	if !o.Verified.IsZero() {
		r.certificate(e.verified(o.Verified))
	}
	r.add("reference", o.Reference)
	r.add("error", escape.Printable(o.Detail, longestOwn)) // of an authenticator that we don't know, perhaps
	r.number("duration", uint64(max(o.Duration, 0)))       // nanoseconds, as slog writes a Duration in JSON
}

// differs tells that Casbin decides otherwise than the engine: a defect of ours.
func (e *Logger) LogDifference(d policy.Difference) {
	var r record
	r.add("event", "decision")
	r.add("outcome", "failed")
	r.add("port", d.Request.Port)
	r.add("user", d.Request.User)
	r.add("method", escape.Printable(d.Request.Method, longest))
	r.add("path", escape.Printable(d.Request.Path, longest))
	r.add("rule", d.Engine.Rule)
	why := fmt.Sprintf("the engine says allowed=%t, Casbin says allowed=%t", d.Engine.Allowed, d.Casbin)
	if d.Err != nil {
		why = "Casbin could not decide: " + escape.Printable(d.Err.Error(), longest)
	}
	r.add("error", why)
	e.write(slog.LevelError, "Casbin decides otherwise", r, e.number.Load())
}

// stranger reports whether anybody at all could have sent the request.
func stranger(id *identity.Identity) bool { return id == nil || id.Via == identity.AnonymousVia }

// certificate are the fields about a leaf, as text that is fit for a log.
func certificate(leaf *x509.Certificate, fingerprint trust.Digest) record {
	r := make(record, 0, 5)
	r.add("fingerprint", fingerprint.String())
	subject := leaf.Subject.String()
	if name, err := certmap.SubjectOf(leaf); err == nil {
		subject = name.String()
	}
	r.add("subject", escape.Printable(subject, longest))
	r.add("issuer", escape.Printable(leaf.Issuer.String(), longest))
	r.add("serial", serial(leaf))
	return r
}

// known are the fields about a certificate: as such, and as a piece of a line.
type known struct {
	fields record
	line   []byte
	issuer *x509.Certificate // that the fields name: another chain may lead to another
}

// verified are the fields about a believed certificate. They are made once and kept:
// making them costs more than deciding. Only believed certificates get here.
func (e *Logger) verified(v trust.Verified) *known {
	key := v.Fingerprint()
	e.mu.RLock()
	k := e.known[key]
	e.mu.RUnlock()
	issuer := v.Issuer()
	if k != nil && sameCertificate(k.issuer, issuer) {
		return k
	}
	r := certificate(v.Leaf(), key)
	if issuer != nil {
		r.add("issuer_fingerprint", trust.FingerprintOf(issuer).String())
	}
	k = &known{fields: r, issuer: issuer}
	for _, f := range r {
		k.line = appendField(k.line, f.Key, f.Value.String())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil || len(e.known) >= mostKnown {
		e.known = map[trust.Digest]*known{}
	}
	e.known[key] = k
	return k
}

func sameCertificate(a, b *x509.Certificate) bool {
	return a == b || a != nil && b != nil && bytes.Equal(a.Raw, b.Raw)
}

// serial is a serial number as openssl prints it.
func serial(c *x509.Certificate) string {
	s := fmt.Sprintf("%X", c.SerialNumber)
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return s
}

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
		r = append(r, certificate(h.Presented[0], trust.FingerprintOf(h.Presented[0]))...)
	}
	if h.Err != nil {
		r.add("error", escape.Printable(h.Err.Error(), longest))
	}
	e.write(level, "handshake", r, e.number.Load())
}

// leftOut tells of lines that were not written, where no line of their kind has told
// it for a while.
func (e *Logger) LogSuppressed(quiet time.Duration) {
	for k, suppressed := range e.sample.rest(quiet) {
		var r record
		r.add("event", k.event) // without an outcome: it is none itself
		r.add("reason", k.reason)
		r.add("port", k.port)
		r.number("suppressed", suppressed)
		e.write(slog.LevelWarn, "lines were left out", r, e.number.Load())
	}
}

func remote(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// reloadFailed writes a line for each mistake, so that each names its file: up to
// three of one file, and up to ten.
func (e *Logger) LogReloadFailure(path string, err error) {
	mistakes := mistake.All(err)
	if len(mistakes) == 0 {
		mistakes = []*mistake.Mistake{{File: path, What: err.Error()}}
	}
	written, ofFile := 0, map[string]int{}
	for _, m := range mistakes {
		if ofFile[m.File]++; ofFile[m.File] > 3 || written == 10 {
			continue
		}
		written++
		var r record
		r.add("event", "reload")
		r.add("outcome", "failed")
		r.add("file", m.File)
		r.add("error", escape.Printable(m.Error(), longestOwn))
		e.write(slog.LevelWarn, "reload failed, the last good configuration stays in force", r, e.number.Load())
	}
}

func (e *Logger) LogWarnings(all []string) {
	for _, w := range all {
		var r record
		r.add("event", "reload") // without an outcome: it says nothing about one
		r.add("error", escape.Printable(w, longestOwn))
		e.write(slog.LevelWarn, "warning", r, e.number.Load())
	}
}

const (
	longest    = 256         // of what a caller wrote
	longestOwn = 4 * longest // of what we say about files
)
