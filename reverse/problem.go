package reverse

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/mtlsguard/mtlsguard/reason"
)

// problem is a problem document (RFC 9457).
type problem struct {
	Type   string        `json:"type"`
	Title  string        `json:"title"`
	Status int           `json:"status"`
	Reason reason.Reason `json:"reason,omitempty"`
}

// refuse answers with a word of the list, and nothing else.
func refuse(w http.ResponseWriter, r reason.Reason) {
	write(w, problem{Type: r.URI(), Title: r.Title(), Status: r.Status(), Reason: r})
}

// fail answers with a status for which there is no word: nobody is refused.
func fail(w http.ResponseWriter, status int) {
	write(w, problem{Type: "about:blank", Title: http.StatusText(status), Status: status})
}

// unavailable answers that the request may be sent again.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable)
}

func write(w http.ResponseWriter, p problem) {
	body, err := json.Marshal(p)
	if err != nil {
		http.Error(w, http.StatusText(p.Status), p.Status) // cannot happen with these fields
		return
	}
	body = append(body, '\n')
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	w.Write(body)
}
