package admin

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// Changes is what has changed since the program began.
type Changes struct {
	Generations []Generation  `json:"generations"` // newest first
	Failed      *FailedReload `json:"failed,omitempty"`
}

// Generation is a configuration that took effect.
type Generation struct {
	Number   uint64    `json:"number"`
	At       string    `json:"at"`
	Files    []Change  `json:"files"`
	Warnings []mistake `json:"warnings,omitempty"`
	Omitted  int       `json:"omitted,omitempty"`
}

// Change is a file whose content changed.
type Change struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"` // SHA-256; absent: it was not used
	After  string `json:"after,omitempty"`  // SHA-256; absent: it is not used
}

// FailedReload is the last reload that failed.
type FailedReload struct {
	At     string    `json:"at"`
	Files  []Change  `json:"files"`
	Errors []mistake `json:"errors"`
}

// changes answers with the generations of this process.
func (c *call) changes() (any, error) {
	h := c.server.History()
	out := &Changes{Generations: []Generation{}}
	for _, g := range h.Generations {
		x := Generation{Number: g.Number, At: report.Time(g.At), Files: newChanges(g.Files), Omitted: g.Omitted}
		for _, w := range g.Warnings {
			x.Warnings = append(x.Warnings, mistake{w.File, w.Line, w.Column, w.What, w.Hint})
		}
		out.Generations = append(out.Generations, x)
	}
	if f := h.Failed; f != nil {
		out.Failed = &FailedReload{report.Time(f.At), newChanges(f.Files), newMistakes(f.Errors)}
	}
	return out, nil
}

func newChanges(all []mtlsguard.FileChange) []Change {
	out := []Change{}
	for _, f := range all {
		x := Change{Name: f.Name}
		if !f.Before.IsZero() {
			x.Before = f.Before.String()
		}
		if !f.After.IsZero() {
			x.After = f.After.String()
		}
		out = append(out, x)
	}
	return out
}

// changesView is the screen of the generations.
type changesView struct {
	*Changes
	MayReload bool
	Fleet     *Fleet // nil: the server follows no source
}

func (c *call) changesScreen() (any, error) {
	v, err := c.changes()
	if err != nil {
		return nil, err
	}
	out := &changesView{Changes: v.(*Changes), MayReload: c.mayPost("/changes/reload")}
	if fleet, err := c.fleet(); err == nil {
		out.Fleet = fleet.(*Fleet)
	}
	return out, nil
}

// Reloaded is the answer to a reload.
type Reloaded struct {
	Generation uint64 `json:"generation"`
	At         string `json:"at"`
}

// reload reads all files again. The log has the request and its result.
func (c *call) reload() (any, error) {
	c.what = "reload"
	if err := c.checkQuery("note"); err != nil { // it has no dry run
		return nil, err
	}
	if _, err := c.note(); err != nil {
		return nil, err
	}
	if err := c.server.Reload(); err != nil {
		if len(configerror.All(err)) == 0 {
			return nil, invalid("the reload failed", "the log has the reason; the last good configuration stays in effect")
		}
		return nil, err
	}
	s := c.server.Status()
	return Reloaded{s.Generation, report.Time(s.Since)}, nil
}

// reloadScreen reloads, and goes back to the generations.
func (c *call) reloadScreen() (any, error) {
	if _, err := c.reload(); err != nil {
		return nil, err
	}
	http.Redirect(c.w, c.Request, "/changes", http.StatusSeeOther)
	return nil, nil
}
