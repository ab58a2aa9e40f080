package audit

import (
	"bytes"
	"context"
	"log"
	"log/slog"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// httpErrors is the ErrorLog of net/http. Its lines are about clients and of interest
// only in a search; but a handler that panicked is a defect of the program.
func (e *Logger) HTTPErrorLog() *log.Logger { return log.New(httpLog{e}, "", 0) }

type httpLog struct{ *Logger }

// panicPrefixes begin net/http's lines about a handler that panicked: it has no other
// way to say so. They count only where a line begins. Further on a line can hold what
// a client sent, such as 24 bytes in place of the HTTP/2 preface.
var panicPrefixes = [][]byte{[]byte("http: panic serving "), []byte("http2: panic serving ")}

const longestStack = 64 * longest

func (h httpLog) Write(line []byte) (int, error) {
	level, outcome, most := slog.LevelDebug, "", longestOwn
	for _, prefix := range panicPrefixes {
		if bytes.HasPrefix(line, prefix) {
			level, outcome, most = slog.LevelError, "failed", longestStack
		}
	}
	if !h.log.Enabled(context.Background(), level) {
		return len(line), nil
	}
	suppressed, ok := h.sample.take(kind{event: "http", outcome: outcome})
	if !ok {
		return len(line), nil // a client causes these lines as fast as it likes
	}
	var r record
	if suppressed > 0 {
		r.number("suppressed", suppressed)
	}
	r.add("error", escape.Printable(string(bytes.TrimSuffix(line, []byte("\n"))), most))
	h.write(level, "net/http", r, h.number.Load())
	return len(line), nil
}
