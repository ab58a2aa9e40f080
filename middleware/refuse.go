package middleware

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/mtlsguard/mtlsguard/reason"
)

// problem is the answer to a refusal (RFC 9457). It names the reason and nothing
// of the rules.
type problem struct {
	Type        string        `json:"type"`
	Title       string        `json:"title"`
	Status      int           `json:"status"`
	Reason      reason.Reason `json:"reason"`
	Reference   string        `json:"reference"`
	Explanation []string      `json:"explanation,omitempty"` // with Config.Debug only
}

// answer sends a refusal.
func (s *snapshot) answer(w http.ResponseWriter, r *http.Request, o *Outcome) {
	if o.closes {
		w.Header().Set("Connection", "close")
	}
	if s.Refuse != nil {
		own := &answered{ResponseWriter: w}
		s.Refuse(own, r, *o)
		if own.written {
			return
		}
		// Fail closed: net/http answers 200 for a handler that says nothing.
	}
	p := o.problem()
	if s.Debug {
		for _, step := range s.explain(r, o) {
			p.Explanation = append(p.Explanation, step.String())
		}
	}
	writeProblem(w, p, o.Challenges)
}

// problem is what a refusal tells its caller.
func (o *Outcome) problem() problem {
	return problem{Type: o.Reason.URI(), Title: o.Reason.Title(), Status: o.Status, Reason: o.Reason, Reference: o.Reference}
}

// answered notes whether Config.Refuse has answered.
type answered struct {
	http.ResponseWriter
	written bool
}

func (a *answered) WriteHeader(status int) {
	a.written = a.written || status >= 200 || status == http.StatusSwitchingProtocols
	a.ResponseWriter.WriteHeader(status)
}

func (a *answered) Write(b []byte) (int, error) {
	a.written = true
	return a.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// writeProblem sends a problem document that no cache may keep.
func writeProblem(w http.ResponseWriter, p problem, challenges []string) {
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, http.StatusText(p.Status), p.Status) // cannot happen with these fields; still a refusal
		return
	}
	body = append(body, '\n')
	h := w.Header()
	for _, c := range challenges {
		h.Add("WWW-Authenticate", c)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	w.Write(body)
}
