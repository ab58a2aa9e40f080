package outbound_test

import (
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// With MustBeAsked a server that does not ask is not called, on the first connection
// and on later ones; a call without a certificate passes.
func TestServerThatDoesNotAskFailsTheCall(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, "alice")
			w.config.MustBeAsked = true
			deaf, asks := serve(t, nil, append([]option{requestsNone}, v.options...)...), serve(t, nil, v.options...)
			transport := w.transport()
			c := &http.Client{Transport: transport}
			for range 3 {
				e := wantError(t, as(t, "alice"), c, deaf.URL, outbound.ErrNotAsked)
				if e.Alias != "alice" || e.Origin != deaf.URL {
					t.Errorf("%+v", e)
				}
			}
			if deaf.requests.Load() != 0 {
				t.Error("a server that did not ask was called")
			}
			for _, h := range w.takeEvents() {
				if h.Err == nil || h.Asked || h.Resumed {
					t.Errorf("%+v", h)
				}
			}
			wantBody(t, outbound.AsNobody(t.Context()), c, deaf.URL, "nobody")
			for range 2 { // resumed, it counts as asked
				wantBody(t, as(t, "alice"), c, asks.URL, "alice")
				transport.CloseIdleConnections()
			}
			events := w.takeEvents()
			if last := events[len(events)-1]; !last.Resumed || !last.Asked || last.Err != nil {
				t.Errorf("%+v", last)
			}
		})
	}
}
