package problem_test

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/reason"
)

// call returns a request as a client of gRPC sends it, changed by change.
func call(contentType string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest("POST", "/acme.Echo/Say", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	r.Header.Set("Content-Type", contentType)
	if change != nil {
		change(r)
	}
	return r
}

func TestOnlyCallsGetAnswersOfTheirProtocol(t *testing.T) {
	t.Parallel()
	refusal := problem.Refusal(reason.NoRule)
	refusal.Reference = "1f"
	version := func(r *http.Request) { r.Header.Set("Connect-Protocol-Version", "1") }
	get := func(target string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Header = "GET", http.Header{}
			r.URL, _ = url.Parse(target)
		}
	}
	for name, row := range map[string]struct {
		r           *http.Request
		status      int
		contentType string
	}{
		"gRPC":                            {call("application/grpc", nil), 200, "application/grpc"},
		"gRPC with a format":              {call("application/grpc+proto", nil), 200, "application/grpc+proto"},
		"gRPC with a parameter":           {call("Application/GRPC; charset=utf-8", nil), 200, "application/grpc"},
		"gRPC-Web over HTTP/1.1":          {call("application/grpc-web", func(r *http.Request) { r.ProtoMajor = 1 }), 200, "application/grpc-web"},
		"gRPC-Web in text":                {call("application/grpc-web-text+proto", nil), 200, "application/grpc-web-text+proto"},
		"stream of Connect":               {call("application/connect+json", nil), 200, "application/connect+json"},
		"Connect, proto":                  {call("application/proto", version), 403, "application/json"},
		"Connect, JSON":                   {call("application/json", version), 403, "application/json"},
		"Connect by GET":                  {call("", get("/acme.Echo/Say?message=&connect=v1")), 403, "application/json"},
		"gRPC over HTTP/1.1":              {call("application/grpc", func(r *http.Request) { r.ProtoMajor = 1 }), 403, "application/problem+json"},
		"gRPC by GET":                     {call("application/grpc", func(r *http.Request) { r.Method = "GET" }), 403, "application/problem+json"},
		"two content types":               {call("application/grpc", func(r *http.Request) { r.Header.Add("Content-Type", "text/html") }), 403, "application/problem+json"},
		"another type with the same name": {call("application/grpcurl", nil), 403, "application/problem+json"},
		"a type that is markup":           {call("application/grpc+<b>", nil), 403, "application/problem+json"},
		"a type that is long":             {call("application/grpc+"+strings.Repeat("a", 64), nil), 403, "application/problem+json"},
		"JSON without Connect":            {call("application/json", nil), 403, "application/problem+json"},
		"another GET":                     {call("", get("/acme.Echo/Say?disconnect=v1")), 403, "application/problem+json"},
		"no content type":                 {call("", nil), 403, "application/problem+json"},
	} {
		w := httptest.NewRecorder()
		refusal.Write(w, row.r, `Basic realm="a"`)
		h := w.Header()
		if w.Code != row.status || h.Get("Content-Type") != row.contentType {
			t.Errorf("%s: %d %q, want %d %q", name, w.Code, h.Get("Content-Type"), row.status, row.contentType)
		}
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: headers %v", name, h)
		}
		if isGRPC := strings.Contains(row.contentType, "grpc"); isGRPC != (h.Get("Grpc-Status") == "7") {
			t.Errorf("%s: Grpc-Status %q", name, h.Get("Grpc-Status"))
		}
	}
}

func TestErrorsOfCallsHaveTheCodeOfTheStatus(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		status int
		number string
		name   string
	}{
		{400, "3", "invalid_argument"}, {401, "16", "unauthenticated"}, {403, "7", "permission_denied"}, {404, "12", "unimplemented"},
		{421, "7", "permission_denied"}, {429, "8", "resource_exhausted"}, {431, "8", "resource_exhausted"}, {500, "13", "internal"},
		{501, "12", "unimplemented"}, {502, "14", "unavailable"}, {503, "14", "unavailable"}, {504, "14", "unavailable"}, {508, "13", "internal"},
	} {
		d := problem.Document{Title: "Größe 100%", Status: row.status, Reason: reason.Denied, Reference: "1f", Explanation: []string{"a\nb"}}
		w := httptest.NewRecorder()
		d.Write(w, call("application/grpc", nil))
		const message = "Gr%C3%B6%C3%9Fe 100%25 (denied, reference 1f)%0Aa%0Ab"
		if h := w.Header(); h.Get("Grpc-Status") != row.number || h.Get("Grpc-Message") != message || w.Body.Len() != 0 {
			t.Errorf("%d: got %v %q", row.status, h, w.Body)
		}

		want := `{"code":"` + row.name + `","message":"Größe 100% (denied, reference 1f)\na\nb"}`
		w = httptest.NewRecorder()
		d.Write(w, call("application/proto", func(r *http.Request) { r.Header.Set("Connect-Protocol-Version", "1") }))
		if w.Code != row.status || w.Body.String() != want+"\n" {
			t.Errorf("%d: %d %s, want %s", row.status, w.Code, w.Body, want)
		}

		w = httptest.NewRecorder()
		d.Write(w, call("application/connect+proto", nil))
		body := w.Body.Bytes()
		if len(body) < 5 || body[0] != 2 || int(binary.BigEndian.Uint32(body[1:])) != len(body)-5 || string(body[5:]) != `{"error":`+want+`}` {
			t.Errorf("%d: stream %q", row.status, body)
		}
	}
}

// A failure is no refusal: it has no reason and no reference.
func TestErrorsOfCallsForFailures(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	problem.Failure(http.StatusBadGateway).Write(w, call("application/connect+proto", nil))
	var end struct{ Error map[string]string }
	if err := json.Unmarshal(w.Body.Bytes()[5:], &end); err != nil || end.Error["message"] != "Bad Gateway" || len(end.Error) != 2 {
		t.Errorf("got %v %v, want Bad Gateway", end, err)
	}
}

func FuzzOnlyCallsGet200(f *testing.F) {
	f.Add("POST", "application/grpc", 2)
	f.Add("GET", "application/connect+proto", 1)
	f.Fuzz(func(t *testing.T, method, contentType string, major int) {
		r := call(contentType, func(r *http.Request) { r.Method, r.ProtoMajor = method, major })
		w := httptest.NewRecorder()
		problem.Refusal(reason.Denied).Write(w, r)
		switch got := w.Header().Get("Content-Type"); {
		case w.Code == 403:
		case method != "POST", !strings.HasPrefix(got, "application/grpc") && !strings.HasPrefix(got, "application/connect+"):
			t.Errorf("%s %q: got %d %q, want the protocol of the request", method, contentType, w.Code, got)
		case strings.ContainsAny(got, "\r\n <\""):
			t.Errorf("Content-Type %q", got)
		}
	})
}
