package reverse

import (
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// refuse answers with the reason, and nothing else.
func refuse(w http.ResponseWriter, r reason.Reason) { problem.Refusal(r).Write(w) }

// fail answers with a status for which there is no reason: nothing was refused.
func fail(w http.ResponseWriter, status int) { problem.Failure(status).Write(w) }

// unavailable answers that the request may be sent again.
func unavailable(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable)
}
