package ports_test

import (
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Covers G11: a long answer ends when the certificate of its request expires. An idle
// connection stays open for its next request, which is refused with the reason.
func TestLongAnswerEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	for name, o := range protocols {
		runOnFakeClock(t, name, func(t *testing.T) {
			var shift atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
			shop := newWorkshop()
			c, _ := config(t, ports.Require)
			c.Trust = trusting(t, trust.Config{Anchors: []*x509.Certificate{clientCA.Cert}, Now: now})
			p := onPipes(t, c, shop)
			idle := admitted(t, p, clientConfig(alice, o))
			busy := admitted(t, p, clientConfig(alice, o))
			answer := make(chan error, 1)
			go func() { _, _, err := busy.get("/busy"); answer <- err }()
			<-shop.started
			shift.Store(int64(48 * time.Hour))
			within(t, "busy", busy.ends(t), 0, 2*soon+margin)
			if err := <-answer; err == nil {
				t.Error("the answer was complete")
			}
			if !idle.open() {
				t.Error("the idle connection was closed without a reason")
			}
		})
	}
}
