package middleware

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/problem"
)

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
		p.Explanation = s.explain(o)
	}
	p.Write(w, o.Challenges...)
}

// problem is the document of a refusal (RFC 9457). The status is the outcome's: a
// challenge makes a 401 of it.
func (o *Outcome) problem() problem.Document {
	p := problem.Refusal(o.Reason)
	p.Status, p.Reference = o.Status, o.Reference
	return p
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
