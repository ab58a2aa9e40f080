package mtlsguardtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Request returns a request with the identity of a user, for a test that calls a handler without
// a guard and without a port. Such a handler also has RequireGroup and RequireUser inside it. The
// user is in the groups, and in those of every named user. identity.Default is the anonymous user.
//
// The target is that of httptest.NewRequest, such as /orders/7. The request has no body; set Body. The
// port in the identity is called test, and the certificate is a new one with each call.
// A guard ignores the identity: it refuses such a request, because it came by no port.
func Request(t testing.TB, method, target, user string, groups ...string) *http.Request {
	requireTest()
	t.Helper()
	id := &identity.Identity{User: user, Port: "test"}
	state := &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: "localhost"}
	if user == identity.Default {
		if len(groups) > 0 {
			t.Fatalf("mtlsguardtest: Request: the anonymous user is in no group of a policy: omit %q", groups)
		}
		id.Via, id.Groups = identity.ViaAnonymous, []string{identity.Anonymous, identity.Everybody}
	} else {
		checkUser(t, "Request", user)
		for _, group := range groups {
			checkGroup(t, "Request", group)
		}
		leaf := testpki.Make(nil, testpki.NewKey(), &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, ofUser, func(c *x509.Certificate) { c.Subject.CommonName = user }).Cert
		id.Via, id.MappingID, id.Leaf, id.Fingerprint = identity.TLS, "users", leaf, trust.FingerprintOf(leaf).String()
		id.Groups = append([]string{identity.Authenticated, identity.Everybody}, groups...)
		slices.Sort(id.Groups)
		id.Groups = slices.Compact(id.Groups)
		state.PeerCertificates = []*x509.Certificate{leaf}
	}
	r := newRequest(t, method, target)
	r.TLS = state
	return r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, id))
}

// newRequest is httptest.NewRequest, which panics if there is no such request.
func newRequest(t testing.TB, method, target string) (r *http.Request) {
	t.Helper()
	defer func() {
		if wrong := recover(); wrong != nil {
			t.Helper()
			t.Fatalf("mtlsguardtest: Request: %q %q is not a request: a method is such as GET, a target such as /orders/7?page=2 (%v)", method, target, wrong)
		}
	}()
	return httptest.NewRequest(method, target, nil)
}

// checkGroup ends the test if a policy cannot put a user into the group.
func checkGroup(t testing.TB, function, group string) {
	t.Helper()
	if username.IsUser(group) { // groups and users have the same grammar
		return
	}
	hint := username.Hint
	if name, ok := strings.CutPrefix(group, "group:"); ok {
		hint = "name the group alone: " + name
	} else if username.Canonical(group) != "" {
		hint = "every user is in it, or none: omit it"
	}
	t.Fatalf("mtlsguardtest: %s: %q is not a group that can be given to a user: %s", function, group, hint)
}
