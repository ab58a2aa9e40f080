package middleware_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// FuzzTarget checks targets as the server of net/http passes them on. An accepted target has
// only one reading.
func FuzzTarget(f *testing.F) {
	for _, x := range targets {
		f.Add(x.method, x.target)
	}
	guard := newGuard(f)
	h := guard.Handler(nothing)
	captured := capture(f, newPort(f, "p", ports.Request), shared().alice)
	f.Fuzz(func(t *testing.T, method, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip("net/http rejects it")
		}
		r := captured.WithContext(captured.Context())
		r.Method, r.RequestURI, r.URL = method, target, u
		o := guard.Check(r)
		if !o.Allowed {
			if o.Reason != reason.AmbiguousPath {
				t.Fatalf("%s %q: observed %+v, want ambiguous-path", method, target, o)
			}
			w := &discard{}
			if h.ServeHTTP(w, r); w.status != 400 {
				t.Fatalf("%s %q: answered %d, want 400", method, target, w.status)
			}
			return
		}
		if target == "*" && method == http.MethodOptions && o.Path == "*" {
			return
		}
		sent, _, _ := strings.Cut(target, "?")
		decoded, err := url.PathUnescape(sent)
		if err != nil || o.Path != decoded {
			t.Fatalf("%q was authorised as %q", target, o.Path)
		}
		if o.Path[0] != '/' || !utf8.ValidString(o.Path) || strings.ContainsAny(o.Path, "\\\x00\r\n\x7f") || strings.Contains(target, "#") {
			t.Fatalf("accepted %q", target)
		}
		if strings.Count(o.Path, "/") != strings.Count(sent, "/") || strings.Count(o.Path, ".") != strings.Count(sent, ".") {
			t.Fatalf("accepted %q, with an encoded slash or dot", target)
		}
		segments := strings.Split(o.Path[1:], "/")
		for i, s := range segments {
			if s == "." || s == ".." || s == "" && i < len(segments)-1 {
				t.Fatalf("accepted %q, with the segment %q", target, s)
			}
		}
	})
}
