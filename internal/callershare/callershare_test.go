package callershare_test

import (
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/callershare"
)

// However many callers take what they can, a further one still gets a place.
func TestSomePlacesRemainFree(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ all, percent, callers, first int }{
		{1, 50, 1, 1}, {2, 50, 2, 1}, {1000, 50, 1, 500}, {1000, 50, 3, 500}, {1000, 25, 5, 250}, {1000, 100, 1, 1000}, {7, 1, 1, 1},
	} {
		free := row.all
		for i := range row.callers {
			held := 0
			for callershare.MayHoldMore(held, free, row.percent) {
				held++
				free--
			}
			if i == 0 && held != row.first || held == 0 {
				t.Errorf("%+v: caller %d holds %d", row, i, held)
			}
		}
		if callershare.MayHoldMore(0, 0, row.percent) {
			t.Errorf("%+v: a place that is not there", row)
		}
	}
}
