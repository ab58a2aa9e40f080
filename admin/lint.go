package admin

import (
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard"
)

// apiFinding is a setting that loads and is probably not intended, as lint --json has it.
type apiFinding struct {
	About string `json:"about"`
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
	Note  bool   `json:"note,omitempty"` // nothing is wrong
}

// findings keeps the last result of Lint: it takes as long as a reload.
type findings struct {
	mu         sync.Mutex // held during a whole Lint: one at a time
	generation uint64
	at         time.Time
	found      []apiFinding
	known      bool
}

// lintAge is how long a result is used. Lint reads the files, which may have changed.
const lintAge = time.Minute

// lint answers with what is probably not intended in the files, as they are now or were a minute
// ago.
func (c *call) lint() (any, error) {
	l := &c.page.linted
	l.mu.Lock()
	defer l.mu.Unlock()
	generation := c.server.Status().Generation
	if l.known && l.generation == generation && c.now.Sub(l.at) < lintAge && !c.now.Before(l.at) {
		return l.found, nil
	}
	all, err := c.server.Lint(mtlsguard.LintOptions{Certificates: c.page.config.Certificates})
	if err != nil {
		return nil, err
	}
	out := []apiFinding{}
	for _, f := range all {
		out = append(out, apiFinding{f.About, f.File, f.Line, f.What, f.Hint, f.Note})
	}
	l.generation, l.at, l.found, l.known = generation, c.now, out, true
	return out, nil
}

// lintView is the screen of the findings.
type lintView struct{ Findings, Notes []apiFinding }

func (c *call) lintScreen() (any, error) {
	all, err := c.lint()
	if err != nil {
		return nil, err
	}
	v := &lintView{}
	for _, f := range all.([]apiFinding) {
		if f.Note {
			v.Notes = append(v.Notes, f)
		} else {
			v.Findings = append(v.Findings, f)
		}
	}
	return v, nil
}

// count returns the number of findings, or nil if they are not known for a generation. It does
// not wait for Lint.
func (l *findings) count(generation uint64) *int {
	if !l.mu.TryLock() {
		return nil
	}
	defer l.mu.Unlock()
	if !l.known || l.generation != generation {
		return nil
	}
	n := 0
	for _, f := range l.found {
		if !f.Note {
			n++
		}
	}
	return &n
}
