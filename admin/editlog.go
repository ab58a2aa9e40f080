package admin

import (
	"cmp"

	"github.com/mtlsguard/mtlsguard/internal/audit"
)

// logEdit writes into the log of the server who has asked for a change, for which, and why it was
// refused. A call that only asks what would be has no line.
func (c *call) logEdit(err error) {
	if c.dryRun {
		return
	}
	note, _ := c.note() // one that is too long is not logged: it is the reason of the refusal
	x := &audit.Edit{By: c.id, Remote: c.RemoteAddr, What: cmp.Or(c.what, c.Method+" "+c.URL.Path), Note: note}
	if err != nil {
		f := asFailure(err)
		x.Status, x.Error = f.Status, f.Detail
		if f.Status >= 500 {
			x.Error = err.Error() // the answer does not have it
		}
	}
	audit.OfServer(c.server).LogEdit(x)
}
