package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	checkEvery   = 5 * time.Second
	checkAgain   = time.Second // while the service is not healthy
	checkTimeout = 2 * time.Second
	// unhealthyAfter is the number of failed checks in a row after which a healthy service is
	// unhealthy: one lost answer takes no server out of service.
	unhealthyAfter = 2
	maxHealthBody  = 64 << 10
)

// health is the result of the checks so far.
type health struct {
	mu       sync.Mutex
	checked  bool
	healthy  bool
	failures int // in a row
	err      error
	next     time.Time
}

// Check checks the health of the service if a check is due.
func (u *Upstream) Check(ctx context.Context) {
	u.health.mu.Lock()
	due := u.config.Health != "" && !time.Now().Before(u.health.next)
	u.health.mu.Unlock()
	if !due {
		return
	}
	err := u.check(ctx)
	if ctx.Err() != nil {
		return // the server ends
	}
	h := &u.health
	h.mu.Lock()
	was, first := h.healthy, !h.checked
	h.checked, h.err, h.next = true, err, time.Now().Add(checkEvery)
	if err == nil {
		h.healthy, h.failures = true, 0
	} else if h.failures++; h.failures >= unhealthyAfter || !was {
		h.healthy = false
	}
	if !h.healthy || h.failures > 0 {
		h.next = time.Now().Add(checkAgain)
	}
	changed := h.healthy != was || first && !h.healthy
	h.mu.Unlock()
	if changed && u.config.OnHealth != nil {
		u.config.OnHealth(u.config.Port, u.config.URL, err)
	}
}

// check sends one health check.
func (u *Upstream) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, min(checkTimeout, u.config.Timeout))
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.config.Scheme+"://"+u.config.Host+u.config.Health, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "mtlsguard")
	res, err := u.roundTrip(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, maxHealthBody) // so that the connection can be used again
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fmt.Errorf("the status is %d", res.StatusCode)
	}
	return nil
}

// Unhealthy returns why the service is not ready, or "". A service without a health check is
// always ready, and one that has not been checked yet is not.
func (u *Upstream) Unhealthy() string {
	h := &u.health
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case u.config.Health == "" || h.healthy:
		return ""
	case !h.checked:
		return fmt.Sprintf("port %s: the upstream %s has not been checked yet", u.config.Port, u.config.URL)
	}
	return fmt.Sprintf("port %s: the upstream %s is not healthy: GET %s: %v", u.config.Port, u.config.URL, u.config.Health, h.err)
}

// Inherit takes over the health of the Upstream that u replaces, until u is checked: a reload
// alone takes no server out of service.
func (u *Upstream) Inherit(old *Upstream) {
	old.health.mu.Lock()
	healthy := old.health.healthy || old.config.Health == ""
	old.health.mu.Unlock()
	u.health.mu.Lock()
	defer u.health.mu.Unlock()
	u.health.healthy = healthy
}
