package audit

import (
	"log/slog"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

// addFleet adds the fields of a line about a generation of a fleet.
func (r *record) addFleet(m *source.Manifest) {
	r.add("fleet", escape.Printable(m.Fleet, maxOwnText))
	r.number("fleet_generation", m.Number)
	r.add("author", escape.Printable(m.Author, maxOwnText))
}

// LogGeneration logs that a generation of a fleet is in effect.
func (e *Logger) LogGeneration(m *source.Manifest) {
	var r record
	r.add("event", "reload")
	r.add("outcome", "ok")
	r.addFleet(m)
	e.enqueue(slog.LevelInfo, "configuration in effect", r, e.generation.Load())
}

// LogRefusedGeneration logs why a generation of a fleet is not in effect: at most ten lines.
func (e *Logger) LogRefusedGeneration(path string, m *source.Manifest, err error) {
	errs := configerror.All(err)
	if len(errs) == 0 {
		errs = []*configerror.Error{{File: path, What: err.Error()}}
	}
	for _, one := range errs[:min(len(errs), 10)] {
		var r record
		r.add("event", "reload")
		r.add("outcome", "failed")
		r.add("file", one.File)
		r.add("error", escape.Printable(one.Error(), maxOwnText))
		r.addFleet(m)
		e.enqueue(slog.LevelWarn, "generation refused, the last good one stays in effect", r, e.generation.Load())
	}
}

// LogSource logs that a source cannot be followed, or can again: err is nil then.
func (e *Logger) LogSource(msg string, err error) {
	var r record
	level := slog.LevelInfo
	r.add("event", "source")
	if err == nil {
		r.add("outcome", "ok")
	} else {
		level = slog.LevelWarn
		r.add("outcome", "failed")
		r.add("error", escape.Printable(err.Error(), maxOwnText))
	}
	e.enqueue(level, msg, r, e.generation.Load())
}
