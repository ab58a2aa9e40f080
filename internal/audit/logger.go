// Package audit writes the log lines of a server: decisions, handshakes, tunnels,
// reloads, and the errors of net/http.
package audit

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Logger writes events: constant messages, and the same few fields in all of them.
// Text from a peer is escaped and cut to a fixed length.
//
// Lines go through a bounded backlog, in order, to one goroutine that writes all lines that
// are waiting together. It ends when none is left, so a Logger needs no Close. While the
// backlog is full, a caller waits for room: at most maxWait, and not at all once the log has
// hung for that time. A line without room, or one that could not be written, is counted, and
// the log gets a line with the count as soon as it accepts one. A decision never depends on
// the log. A Logger is safe for concurrent use.
type Logger struct {
	log        *slog.Logger
	generation *atomic.Uint64 // the current one
	lines      *jsonLog       // the handler of log, where JSONLog made it; else nil
	backlog    *backlog.Queue[entry]
	writer     writer
	sample     sampler
	stale      atomic.Bool // the last reload has failed
	proxies    atomic.Bool // a connection came from a proxy that has to send a PROXY header

	closed       closedCounter
	nearest      *expire.Cache[string] // by certificate, generation and port
	certificates certificateCache
}

// entry is one element of the backlog: a finished line where JSONLog made the log, else a
// record.
type entry struct {
	record *slog.Record
	line   *jsonLine
}

// size returns how much memory an entry takes up, roughly.
func (e entry) size() int {
	if e.line != nil {
		return cap(e.line.text)
	}
	return recordSize
}

const (
	maxQueued    = 16 << 20 // bytes of memory: 16,384 lines of decisions
	maxBatch     = 64 << 10 // bytes of one Write
	recordSize   = 2 << 10  // bytes of memory of a decision's record
	maxWait      = time.Second
	flushTimeout = time.Second // how long Flush waits for a log that writes nothing
)

// New returns a Logger that writes to l. nil discards everything. The Logger reads the
// current generation from number.
func New(l *slog.Logger, number *atomic.Uint64) *Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	e := &Logger{log: l, generation: number, nearest: expire.New[string](maxNearest, nearestTime)}
	e.lines, _ = l.Handler().(*jsonLog)
	bounds := backlog.Bounds{Most: maxQueued, Batch: maxBatch, Wait: maxWait}
	if e.lines == nil {
		bounds.Batch = recordSize // one by one: a handler that is slow has not hung
	}
	e.backlog = backlog.New(bounds, entry.size, e.writeAll)
	return e
}

// Flush waits until the log has written everything. It gives up when nothing is written for
// flushTimeout, and after five times as long. No request calls it.
func (e *Logger) Flush() {
	e.logClosed()
	e.backlog.Wait(flushTimeout)
}

// Enabled reports whether lines of a level are logged.
func (e *Logger) Enabled(level slog.Level) bool { return e.log.Enabled(context.Background(), level) }

// Dropped counts the lines that were dropped because the log was too slow or failed.
func (e *Logger) Dropped() uint64 { return e.backlog.Dropped() + e.writer.lost.Load() }

// record collects fields. It leaves empty ones out.
type record []slog.Attr

func (r *record) add(key, value string) {
	if value != "" {
		*r = append(*r, slog.String(key, value))
	}
}

func (r *record) printable(key, value string, limit int) { r.add(key, escape.Printable(value, limit)) }

func (r *record) number(key string, value uint64) { *r = append(*r, slog.Uint64(key, value)) }

func (r *record) word(key, value string) { r.add(key, value) }

func (r *record) mark(key string) { *r = append(*r, slog.Bool(key, true)) }

func (r *record) position(key string, p policy.Position) { r.add(key, p.String()) }

func (r *record) digest(key string, d trust.Digest) { r.add(key, d.String()) }

func (r *record) certificate(k *certificateFields) { *r = append(*r, k.fields...) }

// fieldAdder takes the fields of an event: a record, or a line of JSON.
type fieldAdder interface {
	add(key, value string)                  // does nothing if value is empty
	printable(key, value string, limit int) // adds escape.Printable(value, limit)
	number(key string, value uint64)
	mark(key string)        // a field that is true
	word(key, value string) // value is one of our own words, which need no escape; not empty
	position(key string, p policy.Position)
	digest(key string, d trust.Digest)
	certificate(*certificateFields)
}

func (e *Logger) enqueue(level slog.Level, msg string, r record, generation uint64) {
	if !e.log.Enabled(context.Background(), level) {
		return
	}
	r.number("generation", generation)
	if e.stale.Load() {
		r.mark("stale")
	}
	if e.lines != nil {
		e.putLine(lineOf(time.Now(), level, msg, r))
		return
	}
	one := slog.NewRecord(time.Now(), level, msg, 0)
	one.AddAttrs(r...)
	e.backlog.Put(entry{record: &one})
}

// putLine ends a line and queues it.
func (e *Logger) putLine(line *jsonLine) {
	line.end()
	if !e.backlog.Put(entry{line: line}) {
		line.free()
	}
}

// LogEvent logs an event that has no fields of its own.
func (e *Logger) LogEvent(event, msg, outcome string) {
	var r record
	r.add("event", event)
	r.add("outcome", outcome)
	e.enqueue(slog.LevelInfo, msg, r, e.generation.Load())
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

const (
	maxPeerText = 256             // bytes of a text from a peer
	maxOwnText  = 4 * maxPeerText // bytes of a text about files
)
