package ocsp

import (
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// A certificate that is revoked since the earliest possible date is revoked, also beside a
// good status in the same answer.
func TestRevokedSinceTheBeginningOfTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := &Client{maxAge: time.Hour}
	ever := &single{status: trust.StatusRevoked, nextUpdate: now.Add(time.Hour)}
	good := &single{status: trust.StatusGood, thisUpdate: now, nextUpdate: now.Add(time.Hour)}
	for _, about := range [][]*single{{ever}, {ever, good}, {good, ever}} {
		if v, err := c.worstOf(about, now, now); err != nil || v.status != trust.StatusRevoked {
			t.Errorf("got %v, %v; want revoked", v, err)
		}
	}
}
