package admin

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
)

// An edit that the writer refuses is 4xx if the editor can mend it, and 5xx if only the operator
// can, or if the edit must be sent again.
// Covers W10.
func TestStatusOfARefusedEdit(t *testing.T) {
	t.Parallel()
	wrong := &configerror.Error{File: "users.yaml", What: "wrong"}
	for _, row := range []struct {
		err  error
		want int
	}{
		{wrong, 422},
		{errors.Join(useredit.ErrLocked, wrong), 503},
		{errors.Join(useredit.ErrNotWritten, wrong), 500},
		{fmt.Errorf("%w: nothing was written", useredit.ErrStale), 412},
		{errors.Join(useredit.ErrStale, wrong), 412},
		{&notInEffect{wrong}, 409},
		{errors.New("unexpected"), 500},
	} {
		if got := asFailure(editFailure(row.err)).Status; got != row.want {
			t.Errorf("%v: %d, want %d", row.err, got, row.want)
		}
	}
}
