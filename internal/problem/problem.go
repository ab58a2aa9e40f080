// Package problem answers with problem documents (RFC 9457) that no cache may keep. Callers of
// gRPC, gRPC-Web and Connect get the error of their protocol in place of the document.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Document is the body of an answer. It names the reason of a refusal and nothing of the
// rules.
type Document struct {
	Type        string        `json:"type"`
	Title       string        `json:"title"`
	Status      int           `json:"status"`
	Reason      reason.Reason `json:"reason,omitempty"`
	Reference   string        `json:"reference,omitempty"`   // the same as in the log line
	Explanation []string      `json:"explanation,omitempty"` // for debugging only: it names users, mappings and rules
}

// reasons is the page of the project's documentation whose headings are the reasons.
const reasons = "https://github.com/mtlsguard/mtlsguard/blob/main/docs/reasons.md#"

// Refusal returns the document of a refusal. Its type (RFC 9457 section 3.1.1) is the heading
// of the reason in the documentation.
func Refusal(r reason.Reason) Document {
	return Document{Type: reasons + string(r), Title: r.Title(), Status: r.Status(), Reason: r}
}

// Failure returns the document of an answer that is not a refusal: nothing was decided.
func Failure(status int) Document {
	return Document{Type: "about:blank", Title: http.StatusText(status), Status: status}
}

// Write sends a document as the answer to r, with a WWW-Authenticate header for each
// challenge. To a caller of gRPC, gRPC-Web or Connect it sends an error of that protocol.
func (d Document) Write(w http.ResponseWriter, r *http.Request, challenges ...string) {
	h := w.Header()
	for _, c := range challenges {
		h.Add("WWW-Authenticate", c)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch protocol, contentType := protocolOf(r); protocol {
	case grpc:
		d.writeGRPC(w, contentType)
	case connectStream:
		d.writeConnectStream(w, contentType)
	case connectUnary:
		d.write(w, "application/json", d.connectError())
	default:
		d.write(w, "application/problem+json", d)
	}
}

// write sends v as JSON, with the status of the document.
func (d Document) write(w http.ResponseWriter, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, http.StatusText(d.Status), d.Status) // cannot happen with these fields; still not a 200
		return
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(d.Status)
	_, _ = w.Write(body) // the caller may be gone
}
