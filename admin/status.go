package admin

import (
	"slices"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// StatusReport is the API's answer to /status.
type StatusReport struct {
	Ready      bool      `json:"ready"`
	NotReady   []string  `json:"not_ready,omitempty"`
	Degraded   []string  `json:"degraded,omitempty"`
	Generation uint64    `json:"generation"`
	Since      string    `json:"since"`
	Failed     []mistake `json:"failed,omitempty"` // of the last reload
	Dropped    uint64    `json:"dropped"`          // log lines
	Shadow     shadow    `json:"shadow"`
	Me         Me        `json:"me"`
}

type shadow struct {
	Checked   uint64 `json:"checked"`
	Different uint64 `json:"different"`
	LeftOut   uint64 `json:"left_out"`
}

// Me is the caller of the API.
type Me struct {
	User    string   `json:"user"`
	Mapping string   `json:"mapping,omitempty"`
	Groups  []string `json:"groups"`
	MayEdit bool     `json:"may_edit"` // whether the policy allows POST /api/v1/reload
}

func newStatusReport(s *mtlsguard.Status) StatusReport {
	return StatusReport{
		Ready: s.Ready(), NotReady: s.NotReady, Degraded: s.Degraded, Generation: s.Generation, Since: report.Time(s.Since),
		Failed: newMistakes(s.Failed), Dropped: s.Dropped, Shadow: shadow(s.Shadow),
	}
}

// status returns the state of the server, and the caller.
func (c *call) status() (any, error) {
	s := c.server.Status()
	out := newStatusReport(&s)
	out.Me = Me{User: c.id.User, Mapping: c.id.MappingID, Groups: slices.Clone(c.id.Groups), MayEdit: c.mayPost("/api/v1/reload")}
	return out, nil
}
