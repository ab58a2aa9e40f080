package audit

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// writer is the state of the backlog's goroutine, which alone uses all of it but lost.
type writer struct {
	batch             []byte // lines to write together
	out               output
	failure           error         // why lines were lost, since the last line about it
	lost              atomic.Uint64 // lines that the log did not accept, ever
	dropped, reported uint64        // how many lines without room, and how many lost ones, were reported
}

// writeAll writes entries of the backlog. A line about lost ones comes first.
func (e *Logger) writeAll(all []entry) {
	w := &e.writer
	e.reportLost()
	if e.lines == nil {
		for _, one := range all {
			e.lose(e.writeRecord(*one.record))
		}
		return
	}
	for _, one := range all {
		w.batch = append(w.batch, one.line.text...)
		one.line.free()
	}
	e.lose(e.writeLines(w.batch))
	w.batch = w.batch[:0]
}

// lose counts lines that were not written.
func (e *Logger) lose(lines uint64, err error) {
	if err != nil {
		e.writer.lost.Add(lines)
		e.writer.failure = err
	}
}

// reportLost writes how many lines were lost since it last wrote that. A failing log gets
// the line when it accepts it.
func (e *Logger) reportLost() {
	w := &e.writer
	if dropped := e.backlog.Dropped(); dropped > w.dropped {
		r := record{slog.Uint64("dropped", dropped-w.dropped)}
		if e.writeNow("the log is too slow: lines were dropped", r) == nil {
			w.dropped = dropped
		}
	}
	if lost := w.lost.Load(); lost > w.reported {
		r := record{slog.Uint64("dropped", lost-w.reported), slog.String("error", escape.Printable(fmt.Sprint(w.failure), maxOwnText))}
		if e.writeNow("the log failed: lines were dropped", r) == nil {
			w.reported = lost
		}
	}
}

// writeNow writes an error about the log itself, in front of the backlog.
func (e *Logger) writeNow(msg string, r record) error {
	if e.lines != nil {
		line := lineOf(time.Now(), slog.LevelError, msg, r)
		line.end()
		defer line.free()
		_, err := e.writeLines(line.text)
		return err
	}
	one := slog.NewRecord(time.Now(), slog.LevelError, msg, 0)
	one.AddAttrs(r...)
	_, err := e.writeRecord(one)
	return err
}

func (e *Logger) writeLines(lines []byte) (lost uint64, err error) {
	return e.writer.out.write(e.lines.out, lines)
}

// writeRecord passes one record to the log's handler. A panic of the handler would end the
// process: it becomes an error.
func (e *Logger) writeRecord(r slog.Record) (lost uint64, err error) {
	lost = 1
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return lost, e.log.Handler().Handle(context.Background(), r)
}
