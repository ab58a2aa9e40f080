package mtlsguardtest_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/reason"
)

func TestRequestHasTheIdentityOfItsUser(t *testing.T) {
	t.Parallel()
	r := mtlsguardtest.Request(t, "POST", "/orders/7?page=2", "alice", "staff", "admins")
	id, ok := identity.FromContext(r.Context())
	if !ok || id.User != "alice" || id.Via != identity.TLS || !slices.Equal(id.Groups, []string{"Authenticated", "Everybody", "admins", "staff"}) || !id.In("staff") {
		t.Errorf("got %+v, want alice", id)
	}
	if id.Leaf == nil || id.Leaf.Subject.CommonName != "alice" || len(id.Fingerprint) != 64 || r.TLS.PeerCertificates[0] != id.Leaf {
		t.Errorf("leaf %v, fingerprint %q", id.Leaf, id.Fingerprint)
	}
	if r.Method != "POST" || r.URL.Path != "/orders/7" || r.URL.RawQuery != "page=2" {
		t.Errorf("got %s %s, want POST /orders/7?page=2", r.Method, r.URL)
	}
	r = mtlsguardtest.Request(t, "GET", "/", identity.Default)
	if id, ok := identity.FromContext(r.Context()); !ok || id.Via != identity.ViaAnonymous || id.Leaf != nil || !slices.Equal(id.Groups, []string{"Anonymous", "Everybody"}) {
		t.Errorf("got %+v", id)
	}
}

// The identity in a request's context proves nothing: a guard refuses the request like any other
// that did not come through a port. Covers L5.
func TestGuardRefusesARequestOfATest(t *testing.T) {
	t.Parallel()
	s := mtlsguardtest.NewServer(t, whoami)
	guard := s.Server.Guard()
	r := mtlsguardtest.Request(t, "GET", "/", "alice")
	if o := guard.Check(r); o.Allowed || o.Reason != reason.NoPort || o.Identity != nil {
		t.Errorf("Check: %+v", o)
	}
	w := httptest.NewRecorder()
	guard.Handler(whoami).ServeHTTP(w, r)
	if w.Code < 400 || strings.Contains(w.Body.String(), "alice") {
		t.Errorf("Handler: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	guard.Authorize(whoami).ServeHTTP(w, r)
	if w.Code < 400 || strings.Contains(w.Body.String(), "alice") {
		t.Errorf("Authorize: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	guard.RequireGroup("staff")(whoami).ServeHTTP(w, mtlsguardtest.Request(t, "GET", "/", "alice", "staff"))
	if !strings.HasPrefix(w.Body.String(), "alice true") {
		t.Errorf("RequireGroup: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	guard.RequireGroup("staff")(whoami).ServeHTTP(w, mtlsguardtest.Request(t, "GET", "/", "bob"))
	if w.Code != 403 || !strings.Contains(w.Body.String(), `"denied"`) {
		t.Errorf("RequireGroup: %d %s", w.Code, w.Body)
	}
}
