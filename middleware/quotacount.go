package middleware

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/quota"
	"github.com/mtlsguard/mtlsguard/reason"
)

// usedUp is the quota that refuses a request.
type usedUp struct {
	*quotaRule
	wait time.Duration // until the next request
}

// withinQuotas counts a request that the policy allows, and refuses it if a quota is used up. A
// request that one quota refuses counts for none: what it has taken from those before is given
// back.
//
//go:noinline // its frame, see handler.ServeHTTP
func (s *snapshot) withinQuotas(c *call) bool {
	now := s.quotas.now()
	hash := quota.Hash(c.Identity.User)
	var space [16]*quota.Bucket
	taken := space[:0]
	for i := range s.quotas.rules {
		q := &s.quotas.rules[i]
		if !q.appliesTo(&c.Outcome) {
			taken = append(taken, nil)
			continue
		}
		b, wait := q.take(&c.Outcome, hash, now, s.quotas.now)
		if wait == 0 {
			taken = append(taken, b)
			continue
		}
		for j, b := range taken {
			if b != nil {
				b.Return(s.quotas.rules[j].rate)
			}
		}
		c.quota = &usedUp{q, wait}
		c.refuse(reason.Quota, c.quota.detail(c))
		return false
	}
	return true
}

// detail names the quota and whose requests have used it up.
func (u *usedUp) detail(c *call) string {
	if u.Per == PerPort {
		return fmt.Sprintf("port %s has used up the quota %s", c.Port, u.Quota)
	}
	return fmt.Sprintf("user %s has used up the quota %s", c.Identity.User, u.Quota)
}

// writeTo sets the headers of the answer: Retry-After (RFC 9110 section 10.2.3), and
// RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11).
func (u *usedUp) writeTo(h http.Header) {
	wait := strconv.FormatInt(seconds(u.wait), 10)
	h.Set("Retry-After", wait)
	h.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", u.Name, u.burst(), seconds(u.rate.Window())))
	h.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%s", u.Name, wait))
}

// seconds returns a duration in whole seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
