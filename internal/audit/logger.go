// Package audit writes the log lines of a server: decisions, handshakes, tunnels,
// reloads, and the errors of net/http.
package audit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/backlog"
	"github.com/mtlsguard/mtlsguard/internal/expire"
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
