package admin

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// checkLockOut refuses a change after which the caller would be another user, or none, within a day: then
// no editor might be left to undo it. lock_me_out=1 allows it.
func (c *call) checkLockOut(f *useredit.File, change *useredit.Change) error {
	if c.URL.Query().Get("lock_me_out") == "1" {
		return nil
	}
	own := func(m useredit.Mapping) bool { return m.ID == c.id.MappingID }
	locked := slices.ContainsFunc(change.Removed, own) && !slices.ContainsFunc(change.Added, own)
	if conn, ok := ports.FromContext(c.Context()); ok && c.id.Via == identity.TLS {
		verified, err := conn.Verified(c.Context())
		if err != nil {
			return err
		}
		if locked, err = c.locksOut(f, change, verified); err != nil {
			return err
		}
	} else if slices.ContainsFunc(change.Removed, own) {
		locked = true // behind a gateway the certificate is not at hand: any change of the own mapping
	}
	if locked {
		return &failure{Status: http.StatusConflict, Detail: "after this change you would not be user " + c.id.User + " any more, now or within a day; nothing was written", Hint: "lock_me_out=1 makes it anyway"}
	}
	return nil
}

// lockOutNotice is how long the caller must stay the same user after a change: a mapping that ends
// in a second locks out as one that has ended.
const lockOutNotice = 24 * time.Hour

// locksOut reports whether a certificate is not that of the caller any more after a change, now or
// at a time within lockOutNotice at which it would be without the change.
func (c *call) locksOut(f *useredit.File, change *useredit.Change, v trust.Verified) (bool, error) {
	before, err := f.Load(nil)
	if err != nil {
		return false, err
	}
	after, err := f.Load(change.Edit)
	if err != nil {
		return false, err
	}
	isCaller := func(t *certmap.Table, at time.Time) bool {
		match, err := t.WithClock(func() time.Time { return at }).Map(context.WithoutCancel(c.Context()), v, c.id.Port)
		return err == nil && match.User == c.id.User
	}
	now := c.page.config.Now()
	if !isCaller(after, now) {
		return true, nil
	}
	end := now.Add(lockOutNotice)
	times := []time.Time{end}
	for _, m := range change.Added { // where a mapping ends or begins, another may begin later or end sooner
		for _, at := range []time.Time{timeOf(m.NotBefore).Add(-time.Second), timeOf(m.NotAfter).Add(time.Second)} {
			if at.After(now) && at.Before(end) {
				times = append(times, at)
			}
		}
	}
	return slices.ContainsFunc(times, func(at time.Time) bool { return isCaller(before, at) && !isCaller(after, at) }), nil
}

// isCaller reports whether the certificate of this connection is that of the caller in a table, now and after
// lockOutNotice. Behind a gateway the certificate is not at hand.
func (c *call) isCaller(table *certmap.Table) bool {
	conn, ok := ports.FromContext(c.Context())
	if !ok || c.id.Via != identity.TLS {
		return false
	}
	verified, err := conn.Verified(c.Context())
	if err != nil {
		return false
	}
	for _, at := range []time.Time{c.page.config.Now(), c.page.config.Now().Add(lockOutNotice)} {
		match, err := table.WithClock(func() time.Time { return at }).Map(context.WithoutCancel(c.Context()), verified, c.id.Port)
		if err != nil || match.User != c.id.User {
			return false
		}
	}
	return true
}
