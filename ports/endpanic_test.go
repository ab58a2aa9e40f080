package ports

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
)

type panickingMemo struct{}

func (panickingMemo) UserName() string { panic("no user") }

// A connection that must end is closed also if its end cannot be reported: the checker recovers
// the panic, and does not end the connection a second time.
// Covers G12.
func TestConnectionEndsIfItsReportPanics(t *testing.T) {
	t.Parallel()
	for name, memo := range map[string]any{"no certificate": nil, "the user panics": panickingMemo{}} {
		own, client := net.Pipe()
		defer client.Close()
		p := &Port{connLimit: connlimit.New(1, 1)}
		p.state.Store(&state{config: Config{OnClosed: func(Closed) {}}})
		c := &Conn{port: p}
		c.raw = &rawConn{Conn: own, conn: c}
		c.hijacked.Store(true)
		(*guardConn)(c).SetMemo(memo)
		func() {
			defer func() { _ = recover() }() // as package underway does
			(*guardConn)(c).End(errors.New("revoked"))
		}()
		if err := own.SetDeadline(time.Time{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: the connection is open: %v", name, err)
		}
	}
}
