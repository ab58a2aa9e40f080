package audit

import (
	"bytes"
	"context"
	"log"
	"log/slog"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// HTTPErrorLog returns an ErrorLog for net/http. Most of its lines are about clients and
// are logged at the level DEBUG. A handler that panicked is a defect of the program, and
// is logged as an error.
func (e *Logger) HTTPErrorLog() *log.Logger { return log.New(httpLog{e}, "", 0) }

type httpLog struct{ *Logger }

// panicPrefixes begin the lines of net/http about a handler that panicked. They count only
// at the beginning of a line: after it, a line can hold bytes that a client sent, such as
// 24 bytes in place of the HTTP/2 preface.
var panicPrefixes = [][]byte{[]byte("http: panic serving "), []byte("http2: panic serving ")}

const maxStack = 64 * maxPeerText

func (h httpLog) Write(line []byte) (int, error) {
	level, outcome, most := slog.LevelDebug, "", maxOwnText
	for _, prefix := range panicPrefixes {
		if bytes.HasPrefix(line, prefix) {
			level, outcome, most = slog.LevelError, "failed", maxStack
		}
	}
	if !h.log.Enabled(context.Background(), level) {
		return len(line), nil
	}
	suppressed, ok := h.sample.take(kind{event: "http", outcome: outcome})
	if !ok {
		return len(line), nil // a client can cause any number of these lines
	}
	var r record
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	r.add("error", escape.Printable(string(bytes.TrimSuffix(line, []byte("\n"))), most))
	h.enqueue(level, "net/http", r, h.generation.Load())
	return len(line), nil
}
