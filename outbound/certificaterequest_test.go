package outbound_test

import (
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
)

// With MustBeAsked a call to a server that requests no certificate fails, on new and open
// connections. A call without a certificate succeeds.
func TestServerThatDoesNotAskFailsTheCall(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, "alice")
			w.config.MustBeAsked = true
			silent, requesting := serve(t, nil, append([]option{requestsNone}, v.options...)...), serve(t, nil, v.options...)
			transport := w.transport()
			c := &http.Client{Transport: transport}
			for range 3 {
				e := wantError(t, as(t, "alice"), c, silent.URL, outbound.ErrNotAsked)
				if e.Alias != "alice" || e.Origin != silent.URL {
					t.Errorf("got %+v, want the error of alice at the silent server", e)
				}
			}
			if silent.requests.Load() != 0 {
				t.Error("a server that requests no certificate was called")
			}
			for _, h := range w.takeEvents() {
				if h.Err == nil || h.Asked || h.Resumed {
					t.Errorf("got %+v, want a failed handshake without a request for a certificate", h)
				}
			}
			wantBody(t, outbound.AsNobody(t.Context()), c, silent.URL, "anonymous")
			for range 2 { // a resumed session counts as a certificate request
				wantBody(t, as(t, "alice"), c, requesting.URL, "alice")
				transport.CloseIdleConnections()
			}
			events := w.takeEvents()
			if last := events[len(events)-1]; !last.Resumed || !last.Asked || last.Err != nil {
				t.Errorf("got %+v, want a resumed handshake", last)
			}
		})
	}
}
