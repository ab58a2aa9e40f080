package middleware

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// writeRefusal writes the answer to a refused request.
func (s *snapshot) writeRefusal(w http.ResponseWriter, c *call) {
	if c.closes {
		w.Header().Set("Connection", "close")
	}
	if c.quota != nil {
		c.quota.writeTo(w.Header())
	}
	if s.Refuse != nil {
		own := &answerWriter{ResponseWriter: w}
		s.Refuse(own, c.request, c.Outcome)
		if own.written {
			return
		}
		// Fail closed: net/http sends 200 for a handler that writes nothing.
	}
	p := c.problem()
	if s.Debug {
		p.Explanation = s.explain(&c.Outcome)
	}
	p.Write(w, c.request, c.Challenges...)
}

// refuseUnconfigured writes the answer of a guard that has no configuration.
func refuseUnconfigured(w http.ResponseWriter, r *http.Request) {
	var o Outcome
	o.refuse(reason.PolicyError, "")
	o.problem().Write(w, r)
}

// problem returns the document of a refusal (RFC 9457). Its status is the outcome's, which a
// challenge changes to 401.
func (o *Outcome) problem() problem.Document {
	p := problem.Refusal(o.Reason)
	p.Status, p.Reference = o.Status, o.Reference
	return p
}

// answerWriter records whether Config.Refuse has written an answer.
type answerWriter struct {
	http.ResponseWriter
	written bool
}

func (w *answerWriter) WriteHeader(status int) {
	w.written = w.written || status >= 200 || status == http.StatusSwitchingProtocols
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
