package admin

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// apiChanges is what has changed since the program began.
type apiChanges struct {
	Generations []apiGeneration  `json:"generations"` // newest first
	Failed      *apiFailedReload `json:"failed,omitempty"`
}

// apiGeneration is a configuration that took effect.
type apiGeneration struct {
	Number   uint64      `json:"number"`
	At       string      `json:"at"`
	Files    []apiChange `json:"files"`
	Warnings []apiError  `json:"warnings,omitempty"`
	Omitted  int         `json:"omitted,omitempty"`
}

// apiChange is a file whose content changed.
type apiChange struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"` // SHA-256; absent: it was not used
	After  string `json:"after,omitempty"`  // SHA-256; absent: it is not used
}

// apiFailedReload is the last reload that failed.
type apiFailedReload struct {
	At     string      `json:"at"`
	Files  []apiChange `json:"files"`
	Errors []apiError  `json:"errors"`
}

// changes answers with the generations of this process.
func (c *call) changes() (any, error) {
	h := c.server.History()
	out := &apiChanges{Generations: []apiGeneration{}}
	for _, g := range h.Generations {
		x := apiGeneration{Number: g.Number, At: report.Time(g.At), Files: newChanges(g.Files), Omitted: g.Omitted}
		for _, w := range g.Warnings {
			x.Warnings = append(x.Warnings, apiError{w.File, w.Line, w.Column, w.What, w.Hint})
		}
		out.Generations = append(out.Generations, x)
	}
	if f := h.Failed; f != nil {
		out.Failed = &apiFailedReload{report.Time(f.At), newChanges(f.Files), newAPIErrors(f.Errors)}
	}
	return out, nil
}

func newChanges(all []mtlsguard.FileChange) []apiChange {
	out := []apiChange{}
	for _, f := range all {
		x := apiChange{Name: f.Name}
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
	*apiChanges
	MayReload bool
	Fleet     *apiFleet // nil: the server follows no source
}

func (c *call) changesScreen() (any, error) {
	v, err := c.changes()
	if err != nil {
		return nil, err
	}
	out := &changesView{apiChanges: v.(*apiChanges), MayReload: c.mayPost("/changes/reload")}
	if fleet, err := c.fleet(); err == nil {
		out.Fleet = fleet.(*apiFleet)
	}
	return out, nil
}

// apiReloaded is the answer to a reload.
type apiReloaded struct {
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
	return apiReloaded{s.Generation, report.Time(s.Since)}, nil
}

// reloadScreen reloads, and goes back to the generations.
func (c *call) reloadScreen() (any, error) {
	if _, err := c.reload(); err != nil {
		return nil, err
	}
	http.Redirect(c.w, c.Request, "/changes", http.StatusSeeOther)
	return nil, nil
}
