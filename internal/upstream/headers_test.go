package upstream_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/identitykey"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/token"
	"github.com/mtlsguard/mtlsguard/internal/upstream"
)

// roundTrip is a service that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// forward sends a request through an Upstream, and returns the status and the headers that the
// service gets; nil if it gets no request.
func forward(h upstream.Headers, id *identity.Identity, r *http.Request) (int, http.Header) {
	var got http.Header
	u := upstream.New(upstream.Config{Scheme: "http", Host: "service", Headers: h, Tokens: signer(), Idle: time.Minute, Timeout: time.Minute, Requests: 1,
		Via: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = r.Header
			return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r, Header: http.Header{}}, nil
		})})
	w := httptest.NewRecorder()
	u.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), identitykey.Key{}, id)))
	return w.Code, got
}

var defaults = upstream.Headers{User: "X-Mtlsguard-User", Groups: "X-Mtlsguard-Groups", Certificate: "Client-Cert"}

var signed = upstream.Headers{Signed: "X-Mtlsguard-Token"}

// signer signs for one test.
func signer() *token.Signer {
	out := &token.Signer{}
	out.Use(nil, time.Now())
	return out
}

// A mapper or a policy of a program may return any text. One that is no name is not sent, and
// neither is the request.
// Covers Y4.
func TestNamesThatAreNoneAreNotSent(t *testing.T) {
	t.Parallel()
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Repeat("x", 100)
	}
	for _, row := range []struct {
		name, user string
		groups     []string
		headers    upstream.Headers
		status     int
	}{
		{"names", "alice", []string{"Everybody", "staff"}, defaults, 204},
		{"no user", "", nil, defaults, 502},
		{"a comma in a user", "alice,root", nil, defaults, 502},
		{"a line break in a user", "alice\r\nX-Admin: 1", nil, defaults, 502},
		{"a comma in a group", "alice", []string{"staff,admin"}, defaults, 502},
		{"an empty group", "alice", []string{""}, defaults, 502},
		{"too many groups", "alice", many, defaults, 502},
		{"a signed user that is none", "alice,root", nil, signed, 502},
		{"a signed group that is none", "alice", []string{"staff admin"}, signed, 502},
		{"too many groups to sign", "alice", many, signed, 502},
		{"signed names", "alice", []string{"staff"}, signed, 204},
		{"too many groups that are not sent", "alice", many, upstream.Headers{User: "X-Mtlsguard-User"}, 204},
	} {
		status, got := forward(row.headers, &identity.Identity{User: row.user, Groups: row.groups}, httptest.NewRequest("GET", "/", nil))
		if status != row.status || (got != nil) != (status == 204) {
			t.Errorf("%s: got %d %v", row.name, status, got)
		}
	}
	if status, got := forward(defaults, nil, httptest.NewRequest("GET", "/", nil)); status != 500 || got != nil {
		t.Errorf("without a guard: %d %v", status, got)
	}
}

// Headers by which a service would serve another request, or take its caller for another one, do
// not reach it, and neither do second spellings of those that delimit messages.
// Covers Y2.
func TestMisleadingHeadersAreRemoved(t *testing.T) {
	t.Parallel()
	custom := "X_Custom"
	for _, name := range []string{
		"SCRIPT_NAME", "Script-Name", "Path_Info", "X-Script-Name", "X-Original-Path", "X-Envoy-Original-Path", "X-Rewrite-Uri", "X-Tunnel-Method", "X-Http-Path-Override",
		"X-Accel-Mapping", "X-Sendfile-Type", "Proxy", "X-Scheme", "Front-End-Https", "True-Client-Ip", "Client_ip", "Cf-Connecting-Ip", "X.Cluster.Client.Ip", "X-Envoy-Internal",
		"Content_Length", "Transfer_Encoding", "Transfer.encoding", "Keep_alive",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[name] = []string{"x"}
		r.Header["X-Request-Id"] = []string{"7"}
		r.Header[custom] = []string{"8"}
		status, got := forward(defaults, &identity.Identity{User: "alice"}, r)
		if _, reached := got[name]; status != 204 || reached || got.Get("X-Request-Id") != "7" || got[custom] == nil {
			t.Errorf("%s: got %d %v, want 204 without the header", name, status, got)
		}
	}
}

// A request of HTTP/1.0 upgrades nothing, and one without a host is not forwarded: the service
// would take its own address for the host.
// Covers Y2, Y6.
func TestOldRequests(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Connection"], r.Header["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	r.Proto, r.ProtoMinor = "HTTP/1.0", 0
	if status, got := forward(defaults, &identity.Identity{User: "alice"}, r); status != 204 || got["Upgrade"] != nil || got["Connection"] != nil {
		t.Errorf("got %d %v", status, got)
	}
	r.Host = ""
	if status, got := forward(defaults, &identity.Identity{User: "alice"}, r); status != 400 || got != nil {
		t.Errorf("got %d %v", status, got)
	}
}

// Whatever a caller sends, the service gets each of our headers once, with our value, and no
// other header that names a caller.
// Covers Y1, Y4.
func FuzzHeaders(f *testing.F) {
	f.Add("X-Mtlsguard-User", "root", "X-Mtlsguard-User, close", "alice", "staff")
	f.Add("client_cert", ":AAAA:", "client-cert", "alice", "a,b")
	f.Add("X-Forwarded-For", "192.0.2.1", "upgrade", "al\nice", "staff")
	f.Add("X.Original.URL", "/admin", "", "Default", "")
	f.Fuzz(func(t *testing.T, name, value, connection, user, group string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header[name] = []string{value}
		r.Header[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
		r.Header["Connection"] = append(r.Header["Connection"], connection)
		status, got := forward(defaults, &identity.Identity{User: user, Groups: []string{"Everybody", group}}, r)
		if got == nil {
			return // refused
		}
		if status != 204 || !slices.Equal(got["X-Mtlsguard-User"], []string{user}) || !slices.Equal(got["X-Mtlsguard-Groups"], []string{"Everybody," + group}) {
			t.Fatalf("got %d %q", status, got)
		}
		for name, values := range got {
			ours := name == "X-Mtlsguard-User" || name == "X-Mtlsguard-Groups"
			if idheader.Is(name) && !ours || strings.ContainsAny(strings.Join(values, ""), "\r\n") && ours || strings.Contains(idheader.Fold(name), "original-url") {
				t.Errorf("the service gets %q: %q", name, values)
			}
		}
		if len(got["X-Forwarded-For"]) != 1 || got["X-Forwarded-For"][0] != "192.0.2.1" {
			t.Errorf("X-Forwarded-For: %q", got["X-Forwarded-For"])
		}
	})
}
