package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// cached returns the cached answer for a key. The caches use the system's clock, and answers
// use the clock of the Config: an answer must be valid by both.
func (c *Client) cached(key string) (answer, bool) {
	now := c.now()
	if a, ok := c.answers.Get(key); ok && a.holds(now) {
		return a, true
	}
	if a, ok := c.failures.Get(key); ok && a.holds(now) {
		return a, true
	}
	return answer{}, false
}

func init() {
	hook.LocalResponder = func(responder any) any {
		if c, ok := responder.(*Client); ok {
			return local{c}
		}
		return nil
	}
}

// local answers for a Client from memory.
type local struct{ client *Client }

// StatusLocal returns what Status would return without a request. While the breaker is
// open, that nothing is known is an answer too.
func (l local) StatusLocal(cert, issuer *x509.Certificate) (status trust.Status, until time.Time, known bool, err error) {
	if !isIssuedBy(cert, issuer) {
		return trust.StatusUnknown, time.Time{}, true, errNotIssued
	}
	c, key := l.client, cacheKey(cert, issuer)
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.cached(key)
	if !ok && c.breaker.isOpen(c.now()) {
		a, ok = c.store(key, checkedAnswer{}, errBreakerOpen), true
	}
	return a.status, a.until, ok, a.err
}

// runQuery sends one request to the responder as soon as a slot is free.
func (c *Client) runQuery(ctx context.Context, cert, issuer *x509.Certificate) (v checkedAnswer, err error) {
	sent := false
	defer func() {
		// Parsers have panicked on hostile answers before. Fail closed.
		if p := recover(); p != nil {
			v, err = checkedAnswer{}, &failure{what: "reading the answer panicked", responder: true}
			c.breaker.countFailure(c.now())
		}
		if sent {
			c.counters.count(c.now(), err)
		}
	}()
	// Wait for a slot for half of the time only: a request that starts too late would time
	// out, and count as a failure of the responder.
	wait := time.NewTimer(c.timeout / 2)
	defer wait.Stop()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-wait.C:
		return checkedAnswer{}, errTooManyQueries
	}
	if c.breaker.isOpen(c.now()) { // it may have opened while this query waited
		return checkedAnswer{}, errBreakerOpen
	}
	sent = true
	v, err = c.send(ctx, cert, issuer)
	if isResponderError(err) {
		c.breaker.countFailure(c.now())
	} else {
		c.breaker.reset()
	}
	return v, err
}

func (c *Client) send(ctx context.Context, cert, issuer *x509.Certificate) (checkedAnswer, error) {
	q, err := newQuery(cert, issuer, c.nonce)
	if err != nil {
		return checkedAnswer{}, err
	}
	body, err := c.post(ctx, q.der)
	if err != nil {
		return checkedAnswer{}, err
	}
	return c.checkResponse(body, q)
}

// store returns the answer for the result of a query, and caches it.
func (c *Client) store(key string, v checkedAnswer, err error) answer {
	now := c.now().Round(0) // without the monotonic clock, which is never set back
	since, _ := c.revoked.Get(key)
	if err == nil && v.status == trust.StatusGood && !since.IsZero() {
		if v.thisUpdate.After(since) {
			c.revoked.Put(key, time.Time{}) // a hold has ended
		} else {
			err = errOlderThanRevoked
		}
	}
	if err == nil {
		if v.status == trust.StatusRevoked && !v.thisUpdate.Before(since) {
			c.revoked.Put(key, v.thisUpdate)
		}
		a := answer{status: v.status, since: now, until: v.until}
		c.answers.Put(key, a)
		return a
	}
	a := answer{since: now, until: now.Add(retryAfter), err: err}
	if !since.IsZero() {
		// The certificate was revoked, and there is no newer answer. Blocking the responder
		// must not help an attacker.
		a = answer{status: trust.StatusRevoked, since: now, until: now.Add(retryAfter)}
	}
	if errors.Is(err, errTooManyQueries) || errors.Is(err, errBreakerOpen) {
		if a.err != nil {
			a.until = time.Time{} // nothing new is known
		}
		return a
	}
	c.failures.Put(key, a)
	return a
}

// canceled returns the answer for a caller whose context has ended.
func (c *Client) canceled(ctx context.Context, key string) (trust.Status, time.Time, error) {
	if since, _ := c.revoked.Get(key); !since.IsZero() {
		return trust.StatusRevoked, c.now().Add(retryAfter), nil
	}
	return trust.StatusUnknown, time.Time{}, &failure{what: "the caller's context ended before the answer", err: ctx.Err()}
}
