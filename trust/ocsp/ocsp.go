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

// Config is the configuration of a Client. New reads it once.
type Config struct {
	URL        string           // of the responder, http or https
	Client     *http.Client     // nil means one without a proxy. Redirects are never followed
	Timeout    time.Duration    // of one request, up to half of it waiting for other requests; 0 means 2 s
	MaxAge     time.Duration    // the longest time for which an answer is used; 0 means 1 h
	Concurrent int              // the largest number of requests at once; 0 means 16
	Nonce      bool             // send a nonce, and reject answers without it
	Now        func() time.Time // the clock; nil means time.Now
}

const (
	retryAfter       = 30 * time.Second   // a failed request
	skew             = 5 * time.Minute    // allowed between the responder's clock and ours
	revokedFor       = 7 * 24 * time.Hour // the time for which a revoked certificate is remembered
	maxAnswers       = 16384              // answers
	maxFailedAnswers = 4096               // failures
	maxFlights       = 1024               // requests under way or waiting
)

// Client queries one responder. It is a trust.Responder and safe for concurrent use.
type Client struct {
	url      string
	http     *http.Client
	timeout  time.Duration
	maxAge   time.Duration
	nonce    bool
	now      func() time.Time
	slots    chan struct{}
	breaker  breaker
	counters counters
	answers  *expire.Cache[answer]    // good and revoked
	failures *expire.Cache[answer]    // apart from answers, so that failures never evict answers
	revoked  *expire.Cache[time.Time] // thisUpdate of the revoking answer; zero: a hold has ended

	mu      sync.Mutex
	flights map[string]*flight
}

var _ trust.Responder = (*Client)(nil)

// answer is a result of Status, and the time in which it is used.
type answer struct {
	status trust.Status
	since  time.Time
	until  time.Time
	err    error
}

// backwards is by how much a clock may be behind that of another goroutine, before it counts as set back.
const backwards = time.Second

// holds reports whether the answer is used now. It is not used if the clock was set back since: it would be
// for longer than it may.
func (a *answer) holds(now time.Time) bool {
	return now.Before(a.until) && !now.Before(a.since.Add(-backwards))
}

// flight is a request under way.
type flight struct {
	done   chan struct{}
	answer answer // set when done is closed
}

// New returns a Client. Its error holds every configuration error (see configerror.All).
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
	wrong.Add(configerror.Error{What: "the URL of the OCSP responder " + what, Hint: "http://ocsp.example.org, as documented by the CA"})
}

func or[N int | time.Duration](value, otherwise N) N {
	if value == 0 {
		return otherwise
	}
	return value
}

// Status returns the revocation status of a certificate. The caller must have verified that
// issuer issued it: otherwise strangers could fill the caches. The answer holds until the
// returned time, which is zero if nothing new is known. An error comes with StatusUnknown; it
// is short, and text of the responder is escaped.
//
// If ctx ends early, the request continues: other callers may wait for it, and the answer is
// cached. Status is safe for concurrent use.
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

// isIssuedBy reports whether a certificate has the issuer's name as its issuer.
func isIssuedBy(cert, issuer *x509.Certificate) bool {
	return cert != nil && issuer != nil && cert.SerialNumber != nil && bytes.Equal(cert.RawIssuer, issuer.RawSubject)
}

// startOrJoin returns the request under way for a certificate, which it starts if necessary,
// or no flight and the answer that needs no request.
func (c *Client) startOrJoin(ctx context.Context, key string, cert, issuer *x509.Certificate) (*flight, answer) {
	c.mu.Lock() // covers the caches too, so that a request that just ended is not repeated
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
		// With a deadline of its own: other callers may still wait when the first one has left.
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

// cacheKey identifies a certificate by its issuer and serial number (RFC 5280 section 4.1.2.2).
func cacheKey(cert, issuer *x509.Certificate) string {
	key := trust.SPKIOf(issuer)
	name := sha256.Sum256(issuer.RawSubject)
	return string(key[:]) + string(name[:]) + cert.SerialNumber.String()
}
