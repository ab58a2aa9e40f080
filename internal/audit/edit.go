package audit

import (
	"log/slog"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// OfServer returns the Logger of a *mtlsguard.Server. Package mtlsguard sets OfServer when the
// program starts. It is safe for concurrent use.
var OfServer func(server any) *Logger

// Edit is a change that was requested on the admin page.
type Edit struct {
	By     identity.Identity
	Remote string
	What   string // such as "reload", with what the editor has sent
	Note   string // of the editor
	Status int    // of the answer, if it was refused; else 0
	Error  string // why it was refused
}

// LogEdit logs a change that was made, or refused.
func (e *Logger) LogEdit(x *Edit) {
	level, msg, outcome := slog.LevelInfo, "edit", "ok"
	if x.Status != 0 {
		level, msg, outcome = slog.LevelWarn, "edit refused", "failed"
	}
	var r record
	r.add("event", "edit")
	r.add("outcome", outcome)
	r.add("port", x.By.Port)
	r.add("remote", escape.Printable(x.Remote, maxPeerText))
	r.add("user", x.By.User)
	r.add("via", string(x.By.Via))
	r.add("mapping", x.By.MappingID)
	r.add("fingerprint", x.By.Fingerprint)
	r.add("what", escape.Printable(x.What, maxOwnText))
	r.add("note", escape.Printable(x.Note, maxPeerText))
	if x.Status != 0 {
		r.number("status", uint64(x.Status))
	}
	r.add("error", escape.Printable(x.Error, maxOwnText))
	e.enqueue(level, msg, r, e.generation.Load())
}
