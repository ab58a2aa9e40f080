package outbound_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

// No identity resumes the session of another, although all of them call one server, which
// issues tickets to all and would accept them.
// Covers J2.
func TestSessionsAreNotSharedBetweenIdentities(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w, s := newFixture(t, "alice", "bob"), serve(t, nil, v.options...)
			transport := w.transport()
			c := &http.Client{Transport: transport}
			for round := range 3 {
				for _, alias := range []string{"alice", "bob"} {
					wantBody(t, as(t, alias), c, s.URL, alias)
				}
				for _, h := range w.takeEvents() {
					if h.Resumed != (round > 0) || !h.Asked || !h.Sent {
						t.Errorf("round %d: %+v", round, h)
					}
				}
				transport.CloseIdleConnections()
			}
			// A renewed certificate does not resume the session of the old one.
			w.put(w.credential("alice", clientCA.Leaf("alice")))
			wantBody(t, as(t, "alice"), c, s.URL, "alice")
			if events := w.takeEvents(); len(events) != 1 || events[0].Resumed {
				t.Errorf("renewed: %+v", events)
			}
		})
	}
}

// Two ports of one name are two servers. crypto/tls itself would offer the session of one to
// the other.
// Covers J2.
func TestSessionsAreNotSharedBetweenPorts(t *testing.T) {
	t.Parallel()
	key := [32]byte{1}
	shared := func(s *testServer) { s.TLS.SetSessionTicketKeys([][32]byte{key}) }
	w, one, two := newFixture(t, "alice"), serve(t, nil), serve(t, nil)
	shared(one)
	shared(two)
	c := w.client()
	wantBody(t, as(t, "alice"), c, one.URL, "alice")
	wantBody(t, as(t, "alice"), c, two.URL, "alice")
	for _, h := range w.takeEvents() {
		if h.Resumed {
			t.Errorf("got %+v, want a full handshake", h)
		}
	}
}

// OnHandshake reports every handshake.
func TestHandshakeEvents(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name               string
		options            []option
		requested, sent    bool
		unacceptable       bool
		version            uint16
		protocol, answered string
	}{
		{"requested and sent", nil, true, true, false, tls.VersionTLS13, "h2", "alice"},
		{"TLS 1.2, HTTP/1.1", []option{tls12, http1}, true, true, false, tls.VersionTLS12, "http/1.1", "alice"},
		{"not requested", []option{requestsNone}, false, false, false, tls.VersionTLS13, "h2", "anonymous"},
		{"not requested, TLS 1.2", []option{requestsNone, tls12}, false, false, false, tls.VersionTLS12, "h2", "anonymous"},
		{"the request lists other authorities", []option{requestsAny, listsOthers}, true, true, true, tls.VersionTLS13, "h2", "alice"},
		{"the request lists other authorities, TLS 1.2", []option{requestsAny, listsOthers, tls12}, true, true, true, tls.VersionTLS12, "h2", "alice"},
	} {
		w, s := newFixture(t, "alice"), serve(t, nil, row.options...)
		wantBody(t, as(t, "alice"), w.client(), s.URL, row.answered)
		events := w.takeEvents()
		if len(events) != 1 {
			t.Fatalf("%s: got %+v, want one handshake", row.name, events)
		}
		h := events[0]
		if h.Asked != row.requested || h.Sent != row.sent || (h.Unacceptable != nil) != row.unacceptable || h.Version != row.version ||
			h.Protocol != row.protocol || h.Alias != "alice" || len(h.Fingerprint) != 64 || h.Origin != s.URL || h.Err != nil || h.Renegotiated || h.Proxy != "" || h.Took <= 0 {
			t.Errorf("%s: got %+v, want a handshake of alice with %s", row.name, h, row.protocol)
		}
	}
}

func listsOthers(s *httptest.Server) { s.TLS.ClientCAs = serverCA.Pool() }
