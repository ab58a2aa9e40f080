package mtlsguard

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/trust"
)

// History is what has changed while this process runs.
type History struct {
	Generations []GenerationInfo // the newest first, at most 100; the first one is that of Open
	// Failed is the last reload that failed, also if a later one succeeded; nil: none has. See
	// Status.Failed.
	Failed *FailedReload
}

// GenerationInfo describes a configuration that took effect.
type GenerationInfo struct {
	Number   uint64
	At       time.Time
	Files    []FileChange          // sorted by name, at most 100
	Warnings []configerror.Finding // of the files, at most 100
	Omitted  int                   // files and warnings beyond these
}

// FileChange describes a file whose content changed. Files that were written again with the
// same content are not among the changes.
type FileChange struct {
	Name, Path    string       // as in FileInventory
	Before, After trust.Digest // SHA-256 of the content; zero: the configuration did not, or does not, use the file, or it cannot be read
}

// FailedReload describes a reload that failed.
type FailedReload struct {
	At      time.Time
	Files   []FileChange // as far as they were read, compared with the configuration in effect then; at most 100
	Omitted int          // files beyond these
	Errors  []*configerror.Error
}

const (
	maxRecords = 100 // generations
	maxChanges = 100 // files, and warnings, of one
)

// History returns what has changed since Open. It takes a lock: do not call it for every
// request.
func (s *Server) History() History {
	s.mu.Lock()
	h := s.history
	s.mu.Unlock()
	var out History
	for _, g := range slices.Backward(h.generations) {
		g.Files, g.Warnings = slices.Clone(g.Files), slices.Clone(g.Warnings)
		out.Generations = append(out.Generations, g)
	}
	if f := h.failed; f != nil {
		record := f.record
		record.Files, record.Errors = slices.Clone(record.Files), s.configErrors(f.err)
		out.Failed = &record
	}
	return out
}

// records are what a History is made from. Elements are only added, and never changed.
type records struct {
	generations []GenerationInfo // the oldest first
	failed      *reloadFailure
}

// with returns records with one more generation.
func (r records) with(g GenerationInfo) records {
	r.generations = append(slices.Clone(r.generations[max(0, len(r.generations)+1-maxRecords):]), g)
	return r
}

// setCurrent makes g the current generation.
func (s *Server) setCurrent(g *site.Generation) {
	g.Files.Read.Drop()
	s.events.SetStale(false)
	record, files := s.recordOf(g, time.Now())
	s.mu.Lock()
	s.current, s.tried, s.since, s.failed = g, g.Files, record.At, nil
	s.files, s.history = files, s.history.with(record)
	s.generation.Store(record.Number)
	s.mu.Unlock()
	s.returnMemory(g.Files)
	select {
	case s.reloaded <- struct{}{}:
	default:
	}
}

// recordOf describes a generation that takes effect now. It returns the states of its files
// too. Only setCurrent writes s.files, therefore no lock is needed here.
func (s *Server) recordOf(g *site.Generation, now time.Time) (GenerationInfo, map[string]fileState) {
	out := GenerationInfo{Number: s.generation.Load() + 1, At: now}
	files := statesOf(g.Files, s.files, now, out.Number)
	names := maps.Clone(files)
	maps.Copy(names, s.files)
	for path := range names {
		if before, after := s.files[path].digest, files[path].digest; before != after {
			out.Files = append(out.Files, FileChange{s.relative(path), path, before, after})
		}
	}
	out.Files, out.Omitted = bounded(out.Files)
	out.Warnings = slices.Clone(g.Warnings[:min(len(g.Warnings), maxChanges)])
	out.Omitted += len(g.Warnings) - len(out.Warnings)
	return out, files
}

// failedRecordOf describes a reload that failed now.
func (s *Server) failedRecordOf(read *fileset.Reader, now time.Time) FailedReload {
	out := FailedReload{At: now}
	for path, c := range read.Read {
		if errors.Is(c.Err, fileset.ErrNoFile) {
			continue // a folder
		}
		after := c.Digest
		if c.Err != nil {
			after = [sha256.Size]byte{}
		}
		if before := s.files[path].digest; before != after {
			out.Files = append(out.Files, FileChange{s.relative(path), path, before, after})
		}
	}
	out.Files, out.Omitted = bounded(out.Files)
	return out
}

// bounded sorts changes, and omits those beyond maxChanges.
func bounded(changes []FileChange) (kept []FileChange, omitted int) {
	slices.SortFunc(changes, func(a, b FileChange) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Path, b.Path))
	})
	kept = changes[:min(len(changes), maxChanges)]
	return slices.Clip(slices.Clone(kept)), len(changes) - len(kept)
}

// fileState records when the content of a file took effect.
type fileState struct {
	digest     [sha256.Size]byte
	since      time.Time
	generation uint64
}

// statesOf returns the states of the files of a generation that takes effect now. A file
// with the same content as before keeps its state. Folders and unreadable files have none.
func statesOf(f *fileset.Reader, before map[string]fileState, now time.Time, generation uint64) map[string]fileState {
	out := make(map[string]fileState, len(f.Read))
	for path, c := range f.Read {
		if c.Err != nil {
			continue
		}
		state, ok := before[path]
		if !ok || state.digest != c.Digest {
			state = fileState{c.Digest, now, generation}
		}
		out[path] = state
	}
	return out
}

// renewalTime is how long one of certificate and key may be newer than the other. Programs
// that renew certificates write the two files one after the other.
const renewalTime = 30 * time.Second

// repeatFailure is the time after which a failure is logged again.
const repeatFailure = 10 * time.Minute

// reloadFailure is why the last reload failed.
type reloadFailure struct {
	err         error
	record      FailedReload // without Errors
	halfRenewed bool
	after       time.Time // from when on it counts as a failure; zero: at once
	logged      time.Time // when it was logged last; zero: never
}

// counts reports whether the failure counts by now.
func (f *reloadFailure) counts(now time.Time) bool { return f != nil && !now.Before(f.after) }

// setFailed records that a reload failed, and logs it. A certificate whose key has not been
// renewed yet counts as a failure later: see logFailure.
func (s *Server) setFailed(read *fileset.Reader, err error) {
	now := s.options.now()
	f := &reloadFailure{err: err, record: s.failedRecordOf(read, now), halfRenewed: site.IsHalfRenewed(err)}
	s.mu.Lock()
	switch old := s.failed; {
	case !f.halfRenewed:
	case old != nil && old.halfRenewed:
		f.after = old.after // the time is not extended: every reload would hide the failure again
	default:
		f.after = now.Add(renewalTime)
	}
	counts := f.counts(now)
	if counts {
		f.logged, s.history.failed = now, f
	}
	s.tried, s.failed = read, f
	s.mu.Unlock()
	s.events.SetStale(counts)
	if counts {
		s.events.LogReloadFailure(s.path, err)
	} else {
		s.events.LogHalfRenewed(s.path, err)
	}
}

// logFailure logs the failure of a reload when it begins to count, and again each
// repeatFailure until a reload succeeds.
func (s *Server) logFailure() {
	now := s.options.now()
	s.mu.Lock()
	f := s.failed
	due := f.counts(now) && (f.logged.IsZero() || now.Sub(f.logged) >= repeatFailure)
	if due {
		f.logged, s.history.failed = now, f
	}
	s.mu.Unlock()
	if due {
		s.events.SetStale(true)
		s.events.LogReloadFailure(s.path, f.err)
	}
}
