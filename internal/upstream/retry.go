package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// retrying sends a request, and again if the service has not answered and a second time does no
// harm.
type retrying struct{ *Upstream }

// pause is the time before the first repetition; it doubles with each.
const pause = 50 * time.Millisecond

// RoundTrip implements http.RoundTripper.
func (t retrying) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r)
	for {
		res, err := t.roundTrip(r)
		if err == nil || x.retried >= t.config.Retries || !mayRepeat(r, err) {
			return res, err
		}
		body, ok := r.Body.(*attemptBody)
		if ok && !body.withdraw() {
			return nil, err
		}
		r = r.WithContext(r.Context()) // a copy: the transport may still read the former one
		if ok {
			r.Body = x.body.attempt()
		}
		select {
		case <-r.Context().Done():
			return nil, context.Cause(r.Context())
		case <-time.After(pause << x.retried):
		}
		x.retried++
		r.Header = r.Header.Clone()
		t.sign(r.Header, x)
	}
}

// mayRepeat reports whether a request may be sent again (RFC 9110 section 9.2.2). After a
// timeout it is not: a service that is slow would have more to do.
func mayRepeat(r *http.Request, err error) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return r.Context().Err() == nil && !isTimeout(err)
	}
	return false
}

// isTimeout reports whether an error means that the service was silent for too long.
func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout() || errors.Is(err, errIdle) || errors.Is(err, context.DeadlineExceeded)
}
