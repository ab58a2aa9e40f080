package ocsp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Requests are counted, not questions: what is in memory was asked once. An answer that is not
// accepted is none.
func TestStatsCountRequests(t *testing.T) {
	w := newWorld(t)
	if got := w.client.Stats(); got.Asked != 0 || got.Cached != 0 || got.LastError != "" {
		t.Errorf("before any request: %+v", got)
	}
	w.responder.answer(w.reply())
	for range 3 {
		w.expect(t, trust.StatusGood)
	}
	if got := w.client.Stats(); got.Asked != 1 || got.Answered != 1 || got.Cached != 1 || !got.LastAnswered.Equal(w.clock.now()) {
		t.Errorf("got %+v, want one request, answered and cached", got)
	}
	w.responder.use(func(a http.ResponseWriter, _ []byte) { a.WriteHeader(http.StatusTeapot) })
	if status, _, err := w.of(t, w.ca.Leaf("bob")); status != trust.StatusUnknown || err == nil {
		t.Errorf("got %d, %v; want unknown", status, err)
	}
	if got := w.client.Stats(); got.Asked != 2 || got.Answered != 1 || got.Cached != 1 || !strings.Contains(got.LastError, "418") {
		t.Errorf("got %+v, want a second request with the error 418", got)
	}
}
