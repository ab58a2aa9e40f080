package admin

import (
	"slices"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/report"
)

// apiStatus is the API's answer to /status.
type apiStatus struct {
	Ready      bool       `json:"ready"`
	NotReady   []string   `json:"not_ready,omitempty"`
	Degraded   []string   `json:"degraded,omitempty"`
	Generation uint64     `json:"generation"`
	Since      string     `json:"since"`
	Failed     []apiError `json:"failed,omitempty"` // of the last reload
	Dropped    uint64     `json:"dropped"`          // log lines
	Shadow     shadow     `json:"shadow"`
	Me         apiMe      `json:"me"`
}

type shadow struct {
	Checked   uint64 `json:"checked"`
	Different uint64 `json:"different"`
	LeftOut   uint64 `json:"left_out"`
}

// apiMe is the caller of the API.
type apiMe struct {
	User    string   `json:"user"`
	Mapping string   `json:"mapping,omitempty"`
	Groups  []string `json:"groups"`
	MayEdit bool     `json:"may_edit"` // whether the policy allows POST /api/v1/reload
}

func newStatusReport(s *mtlsguard.Status) apiStatus {
	return apiStatus{
		Ready: s.Ready(), NotReady: s.NotReady, Degraded: s.Degraded, Generation: s.Generation, Since: report.Time(s.Since),
		Failed: newAPIErrors(s.Failed), Dropped: s.Dropped, Shadow: shadow(s.Shadow),
	}
}

// status returns the state of the server, and the caller.
func (c *call) status() (any, error) {
	s := c.server.Status()
	out := newStatusReport(&s)
	out.Me = apiMe{User: c.id.User, Mapping: c.id.MappingID, Groups: slices.Clone(c.id.Groups), MayEdit: c.mayPost("/api/v1/reload")}
	return out, nil
}
