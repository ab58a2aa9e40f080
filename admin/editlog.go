package admin

import (
	"cmp"

	"github.com/mtlsguard/mtlsguard/internal/audit"
)

// logEdit writes a line into the server's log with the user, the change, and the reason if it was
// refused. A dry run has no line.
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
