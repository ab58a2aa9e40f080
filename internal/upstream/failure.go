package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Failure is a request that the guard has let through, and the service has not answered.
type Failure struct {
	Port, URL    string
	Status       int // of the answer to the caller; 0: the service broke off in the middle of its answer
	Retried      int // how often the request was sent again
	User         string
	Remote       string
	Method, Path string
	Reference    string // the same in the answer; "" without an answer
	Err          error
}

// answerError answers a request that the service has not answered.
func (u *Upstream) answerError(w http.ResponseWriter, r *http.Request, err error) {
	x := exchangeOf(r)
	cause := x.body.callerError()
	if errors.Is(cause, os.ErrDeadlineExceeded) { // the caller is there, although the context has ended
		problem.Failure(http.StatusRequestTimeout).Write(w, x.in)
		return
	}
	if x.in.Context().Err() != nil {
		panic(http.ErrAbortHandler) // the caller has gone; without an answer net/http would send 200
	}
	if cause != nil {
		problem.Failure(http.StatusBadRequest).Write(w, x.in)
		return
	}
	if context.Cause(r.Context()) == errIdle {
		err = errIdle
	}
	status := http.StatusBadGateway
	if isTimeout(err) {
		status = http.StatusGatewayTimeout
	}
	u.fail(w, x, status, err)
}

// fail answers and reports.
func (u *Upstream) fail(w http.ResponseWriter, x *exchange, status int, err error) {
	reference := u.report(x, status, err)
	d := problem.Refusal(reason.Upstream)
	d.Status, d.Reference = status, reference
	d.Write(w, x.in)
}

// report reports a failure, and returns its reference.
func (u *Upstream) report(x *exchange, status int, err error) (reference string) {
	if status != 0 {
		reference = fmt.Sprintf("%016x", rand.Uint64())
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // the rest is in the other fields
	}
	if u.config.OnFailure != nil {
		u.config.OnFailure(Failure{
			Port: u.config.Port, URL: u.config.URL, Status: status, Retried: x.retried, User: x.caller.User, Remote: x.in.RemoteAddr,
			Method: x.in.Method, Path: x.in.URL.Path, Reference: reference, Err: err,
		})
	}
	return reference
}
