package mtlsguard

import (
	"io"
	"log/slog"

	"github.com/mtlsguard/mtlsguard/internal/audit"
)

// JSONLog returns a log for Options.Log that writes the lines of a slog.JSONHandler,
// at a fraction of its cost: the lines about decisions are written without slog, and
// go to w together, as many as came while w was busy. A Write is always of whole
// lines. A nil level is slog.LevelInfo.
func JSONLog(w io.Writer, level slog.Leveler) *slog.Logger { return audit.JSONLog(w, level) }
