package admin

import (
	"context"
	"net/http"
	"slices"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/ports"
)

// checkLockOut refuses a change after which the caller would be another user, or none: nobody
// might be left who could undo it. lock_me_out=1 allows it.
func (c *call) checkLockOut(f *useredit.File, change *useredit.Change) error {
	if c.URL.Query().Get("lock_me_out") == "1" {
		return nil
	}
	own := func(m useredit.Mapping) bool { return m.ID == c.id.MappingID }
	locked := slices.ContainsFunc(change.Removed, own) && !slices.ContainsFunc(change.Added, own)
	if conn, ok := ports.FromContext(c.Context()); ok && c.id.Via == identity.TLS {
		table, err := f.Load(change.Edit)
		if err != nil {
			return err
		}
		verified, err := conn.Verified(c.Context())
		if err != nil {
			return err
		}
		match, err := table.WithClock(c.page.config.Now).Map(context.WithoutCancel(c.Context()), verified, c.id.Port)
		locked = err != nil || match.User != c.id.User
	} else if slices.ContainsFunc(change.Removed, own) {
		locked = true // behind a gateway the certificate is not at hand: any change of the own mapping
	}
	if locked {
		return &failure{Status: http.StatusConflict, Detail: "after this change you would not be user " + c.id.User + " any more; nothing was written", Hint: "lock_me_out=1 makes it anyway"}
	}
	return nil
}
