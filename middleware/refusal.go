package middleware

import (
	"net/http"
	"time"

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
		own := &answerWriter{inner: w, status: c.Status, challenges: c.Challenges, closes: c.closes} // not the call, which stays on the stack
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

// answerWriter is the ResponseWriter of Config.Refuse: the body is the program's, and the status
// and the headers that matter for security are the refusal's. It cannot be hijacked.
type answerWriter struct {
	inner      http.ResponseWriter
	status     int
	challenges []string
	closes     bool
	written    bool
}

func (w *answerWriter) Header() http.Header { return w.inner.Header() }

// WriteHeader sends the status of the refusal in place of any final status: a 200 would mean that
// the request was allowed.
func (w *answerWriter) WriteHeader(status int) {
	switch {
	case w.written:
	case status >= 100 && status < 200 && status != http.StatusSwitchingProtocols:
		w.inner.WriteHeader(status)
	default:
		w.written = true
		h := w.Header()
		if w.closes {
			h.Set("Connection", "close")
		}
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Del("WWW-Authenticate")
		for _, c := range w.challenges {
			h.Add("WWW-Authenticate", c)
		}
		w.inner.WriteHeader(w.status)
	}
}

func (w *answerWriter) Write(b []byte) (int, error) {
	w.WriteHeader(w.status)
	return w.inner.Write(b)
}

// FlushError is for http.ResponseController.
func (w *answerWriter) FlushError() error {
	w.WriteHeader(w.status)
	return http.NewResponseController(w.inner).Flush()
}

// Flush is that of http.Flusher.
func (w *answerWriter) Flush() { _ = w.FlushError() }

// SetWriteDeadline is for http.ResponseController.
func (w *answerWriter) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(w.inner).SetWriteDeadline(t)
}
