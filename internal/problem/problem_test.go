package problem_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

func TestDocumentsAreWhole(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		d    problem.Document
		want string
	}{
		{problem.Failure(503), `{"type":"about:blank","title":"Service Unavailable","status":503}`},
		{problem.Refusal(reason.Denied), `{"type":"https://github.com/mtlsguard/mtlsguard/blob/main/docs/reasons.md#denied","title":"Denied","status":403,"reason":"denied"}`},
		{problem.Document{Type: "t", Title: "<&>", Status: 403, Reason: reason.NoRule, Reference: "1f", Explanation: []string{"a\nb"}},
			`{"type":"t","title":"\u003c\u0026\u003e","status":403,"reason":"no-rule","reference":"1f","explanation":["a\nb"]}`},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "text/html")
		row.d.Write(w, httptest.NewRequest("GET", "/", nil), `Basic realm="a"`, "Bearer")
		res := w.Result()
		if got := w.Body.String(); got != row.want+"\n" || res.StatusCode != row.d.Status {
			t.Errorf("%d %s, want %s", res.StatusCode, got, row.want)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": strconv.Itoa(len(row.want) + 1),
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if got := res.Header[http.CanonicalHeaderKey("WWW-Authenticate")]; len(got) != 2 {
			t.Errorf("challenges %q", got)
		}
	}
}
