package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// known looks a certificate up in what is kept. The caches go by the process's clock,
// and answers by ours: both must agree.
func (c *Client) known(key string) (answer, bool) {
	now := c.now()
	if a, ok := c.kept.Get(key); ok && now.Before(a.until) {
		return a, true
	}
	if a, ok := c.failed.Get(key); ok && now.Before(a.until) {
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
	if !matches(cert, issuer) {
		return trust.StatusUnknown, time.Time{}, true, errNotIssued
	}
	c, key := l.client, keyOf(cert, issuer)
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.known(key)
	if !ok && c.breaker.closed(c.now()) {
		a, ok = c.settle(key, verdict{}, errPaused), true
	}
	return a.status, a.until, ok, a.err
}

// ask puts one question to the responder, when there is a place for it.
func (c *Client) ask(ctx context.Context, cert, issuer *x509.Certificate) (v verdict, err error) {
	defer func() {
		// Parsers have panicked on hostile answers before. A panic is never an answer.
		if p := recover(); p != nil {
			v, err = verdict{}, &failure{what: "reading the answer panicked", blame: true}
			c.breaker.failed(c.now())
		}
	}()
	// A place in the first half of the time, or none: a question put in the last moment
	// would fail, and the responder be blamed for it.
	wait := time.NewTimer(c.timeout / 2)
	defer wait.Stop()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-wait.C:
		return verdict{}, errNoPlace
	}
	if c.breaker.closed(c.now()) { // while this one waited
		return verdict{}, errPaused
	}
	v, err = c.put(ctx, cert, issuer)
	if blames(err) {
		c.breaker.failed(c.now())
	} else {
		c.breaker.worked()
	}
	return v, err
}

func (c *Client) put(ctx context.Context, cert, issuer *x509.Certificate) (verdict, error) {
	q, err := newQuestion(cert, issuer, c.nonce)
	if err != nil {
		return verdict{}, err
	}
	body, err := c.post(ctx, q.der)
	if err != nil {
		return verdict{}, err
	}
	return c.judge(body, q)
}

// settle makes an answer of what came of a question, and keeps it.
func (c *Client) settle(key string, v verdict, err error) answer {
	now := c.now()
	since, _ := c.revoked.Get(key)
	if err == nil && v.status == trust.StatusGood && !since.IsZero() {
		if v.thisUpdate.After(since) {
			c.revoked.Put(key, time.Time{}) // a hold has ended
		} else {
			err = errOlder
		}
	}
	if err == nil {
		if v.status == trust.StatusRevoked && !v.thisUpdate.Before(since) {
			c.revoked.Put(key, v.thisUpdate)
		}
		a := answer{status: v.status, until: v.until}
		c.kept.Put(key, a)
		return a
	}
	a := answer{until: now.Add(pause), err: err}
	if !since.IsZero() {
		// Known to be revoked, and nothing newer is known: a responder that is kept from
		// answering does not help.
		a = answer{status: trust.StatusRevoked, until: now.Add(pause)}
	}
	if errors.Is(err, errNoPlace) || errors.Is(err, errPaused) {
		if a.err != nil {
			a.until = time.Time{} // nothing was learnt
		}
		return a
	}
	c.failed.Put(key, a)
	return a
}

// gaveUp is the answer for a caller that cannot wait.
func (c *Client) gaveUp(ctx context.Context, key string) (trust.Status, time.Time, error) {
	if since, _ := c.revoked.Get(key); !since.IsZero() {
		return trust.StatusRevoked, c.now().Add(pause), nil
	}
	return trust.StatusUnknown, time.Time{}, &failure{what: "the caller could not wait for the responder", err: ctx.Err()}
}
