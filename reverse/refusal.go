package reverse

import (
	"errors"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// refuse answers with a reason, and nothing else.
func refuse(w http.ResponseWriter, r *http.Request, why reason.Reason) {
	problem.Refusal(why).Write(w, r)
}

// fail answers with a status that is not a refusal.
func fail(w http.ResponseWriter, r *http.Request, status int) { problem.Failure(status).Write(w, r) }

// failTemporarily answers that the client may send the request again.
func failTemporarily(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", "1")
	fail(w, r, http.StatusServiceUnavailable)
}

// reasonOf returns the reason of a refusal. An error without a reason is a refusal too:
// reason.Denied.
func reasonOf(err error) reason.Reason {
	if r := knownReason(err); r.Known() {
		return r
	}
	return reason.Denied
}

// knownReason returns the reason in err; "" if it has none, as an error of the network.
func knownReason(err error) reason.Reason {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return refusal.Reason
	}
	return ""
}

func isNoCertificate(err error) bool { return err != nil && reasonOf(err) == reason.NoCertificate }
