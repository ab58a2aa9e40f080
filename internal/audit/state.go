package audit

import (
	"log/slog"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// SetStale marks every line from now on as written under an older configuration than the
// files hold, because the last reload failed, or no longer.
func (e *Logger) SetStale(stale bool) { e.stale.Store(stale) }

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

// LogNotRunning logs that a server is used whose files nothing watches.
func (e *Logger) LogNotRunning(path string) {
	var r record
	r.add("event", "not-running")
	r.add("outcome", "failed")
	r.add("file", path)
	r.add("error", "requests are served, and neither Serve nor Run is running: no changed file is read, and no CRL is fetched. Call Server.Run beside the program's own http.Server")
	e.enqueue(slog.LevelError, "the server is used and does not run", r, e.generation.Load())
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
