package ocsp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Config is what a Client is built from. It is read once, by New.
type Config struct {
	URL        string           // of the responder, http or https; always configured, never from a certificate
	Client     *http.Client     // nil: one without a proxy. Its redirects are never followed
	Timeout    time.Duration    // for one question, up to half of it waiting for a place; 0 is 2 s
	MaxAge     time.Duration    // for which an answer is kept, and believed if it has no nextUpdate; 0 is 1 h
	Concurrent int              // questions under way at once; 0 is 16
	Nonce      bool             // send one, and believe no answer without it
	Now        func() time.Time // the clock; nil is time.Now
}

const (
	retryAfter       = 30 * time.Second   // before a failed question is asked again
	skew             = 5 * time.Minute    // between the responder's clock and ours
	revokedFor       = 7 * 24 * time.Hour // of what was revoked
	maxAnswers       = 16384              // answers
	maxFailedAnswers = 4096               // failures
	maxFlights       = 1024               // questions under way or waiting for a place
)

// Client asks one responder. It is a trust.Responder and safe for concurrent use.
type Client struct {
	url      string
	http     *http.Client
	timeout  time.Duration
	maxAge   time.Duration
	nonce    bool
	now      func() time.Time
	slots    chan struct{}
	breaker  breaker
	answers  *expire.Cache[answer]    // good and revoked
	failures *expire.Cache[answer]    // apart from kept, so that failures never push answers out
	revoked  *expire.Cache[time.Time] // thisUpdate of the answer that said so; zero: no more

	mu      sync.Mutex
	flights map[string]*flight
}

var _ trust.Responder = (*Client)(nil)

// answer is what Status says, and until when it need not be asked again.
type answer struct {
	status trust.Status
	until  time.Time
	err    error
}

// flight is a question under way.
type flight struct {
	done   chan struct{}
	answer answer // once done is closed
}

// New builds a Client. Every mistake is reported at once.
func New(config Config) (*Client, error) {
	var wrong errorlist.List
	checkURL(&wrong, config.URL)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"Timeout", config.Timeout}, {"MaxAge", config.MaxAge}, {"Concurrent", time.Duration(config.Concurrent)}} {
		if d.value < 0 {
			wrong.Add(configerror.Error{What: d.name + " is negative", Hint: "0 is the default"})
		}
	}
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	c := &Client{
		url: config.URL, nonce: config.Nonce, now: config.Now,
		timeout: or(config.Timeout, 2*time.Second), maxAge: or(config.MaxAge, time.Hour),
		slots:    make(chan struct{}, or(config.Concurrent, 16)),
		flights:  map[string]*flight{},
		failures: expire.New[answer](maxFailedAnswers, retryAfter),
		revoked:  expire.New[time.Time](maxAnswers, revokedFor),
	}
	c.answers = expire.New[answer](maxAnswers, c.maxAge)
	c.http = httpClient(config.Client, cap(c.slots))
	if c.now == nil {
		c.now = time.Now
	}
	return c, nil
}

func checkURL(wrong *errorlist.List, text string) {
	u, err := url.Parse(text)
	what := ""
	switch {
	case text == "":
		what = "is missing"
	case err != nil:
		what = "cannot be read"
	case u.Scheme != "http" && u.Scheme != "https":
		what = "is neither http nor https"
	case u.Hostname() == "":
		what = "has no host"
	case u.User != nil || u.Fragment != "":
		what = "has a user or a fragment"
	default:
		return
	}
	wrong.Add(configerror.Error{What: "the URL of the OCSP responder " + what, Hint: "http://ocsp.example.org, as the CA says"})
}

func or[N int | time.Duration](value, otherwise N) N {
	if value == 0 {
		return otherwise
	}
	return value
}

// Status asks about a certificate, which must be verified to be issuer's: strangers
// would fill the caches. The answer holds until the given time, which is zero where
// nothing was learnt. An error comes with StatusUnknown, is short, and holds nothing
// unescaped that the responder sent.
//
// A caller that leaves early does not end a question: others may wait for it, and the
// answer is kept for the next one.
func (c *Client) Status(ctx context.Context, cert, issuer *x509.Certificate) (trust.Status, time.Time, error) {
	if !isIssuedBy(cert, issuer) {
		return trust.StatusUnknown, time.Time{}, errNotIssued
	}
	key := cacheKey(cert, issuer)
	f, a := c.startOrJoin(ctx, key, cert, issuer)
	if f == nil {
		return a.status, a.until, a.err
	}
	select {
	case <-f.done:
		return f.answer.status, f.answer.until, f.answer.err
	case <-ctx.Done():
		return c.canceled(ctx, key)
	}
}

// matches reports whether a certificate bears the issuer's name.
func isIssuedBy(cert, issuer *x509.Certificate) bool {
	return cert != nil && issuer != nil && cert.SerialNumber != nil && bytes.Equal(cert.RawIssuer, issuer.RawSubject)
}

// join returns the question under way about a certificate, started if need be, or no
// flight and what is known without asking.
func (c *Client) startOrJoin(ctx context.Context, key string, cert, issuer *x509.Certificate) (*flight, answer) {
	c.mu.Lock() // over the caches too: a question is not asked again in the moment that it ends
	defer c.mu.Unlock()
	if a, ok := c.cached(key); ok {
		return nil, a
	}
	if f, ok := c.flights[key]; ok {
		return f, answer{}
	}
	switch {
	case ctx.Err() != nil:
		var a answer
		a.status, a.until, a.err = c.canceled(ctx, key)
		return nil, a
	case c.breaker.isOpen(c.now()):
		return nil, c.store(key, checkedAnswer{}, errBreakerOpen)
	case len(c.flights) >= maxFlights:
		return nil, c.store(key, checkedAnswer{}, errTooManyQueries)
	}
	f := &flight{done: make(chan struct{})}
	c.flights[key] = f
	go func() {
		// Detached, with a deadline of its own: the first caller may leave, others wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
		defer cancel()
		v, err := c.runQuery(ctx, cert, issuer)
		f.answer = c.store(key, v, err)
		c.mu.Lock()
		delete(c.flights, key)
		c.mu.Unlock()
		close(f.done)
	}()
	return f, answer{}
}

// keyOf names a certificate by its issuer and serial number (RFC 5280 section
// 4.1.2.2).
func cacheKey(cert, issuer *x509.Certificate) string {
	key := trust.SPKIOf(issuer)
	name := sha256.Sum256(issuer.RawSubject)
	return string(key[:]) + string(name[:]) + cert.SerialNumber.String()
}
