package admin_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// logBuffer is the log of a site.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

// editLine is a line of the log about an edit.
type editLine struct {
	Event, Outcome, Port, Remote, User, Via, Mapping, What, Note, Error string
	Status                                                              int
	Generation                                                          uint64
}

// edits returns the lines about edits.
func (b *logBuffer) edits(tb testing.TB) (out []editLine) {
	b.mu.Lock()
	text := b.text.String()
	b.mu.Unlock()
	for line := range strings.Lines(text) {
		var l editLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			tb.Fatalf("the log line is not JSON: %v: %s", err, line)
		}
		if l.Event == "edit" {
			out = append(out, l)
		}
	}
	return out
}

// Every edit, reload and close has a line that names who did it, refused ones too; a dry run has
// none.
// Covers W11.
func TestEveryEditIsLogged(t *testing.T) {
	t.Parallel()
	s := newSite(t, editing)
	alice, carol, bob := s.client("alice"), s.client("carol"), s.client("bob")
	s.do(bob, "GET", "internal", "/orders/7", "")
	connections := decode[[]admin.Connection](s, s.do(alice, "GET", "admin", "/api/v1/connections?user=bob", ""))
	tag := func() string { return s.do(alice, "GET", "admin", "/api/v1/mappings", "").Header.Get("ETag") }
	stranger := string(pairOf(t, "stranger").CertPEM())
	addition, _ := json.Marshal(map[string]string{"user": "newcomer", "certificate_pem": stranger})
	next, _ := json.Marshal(map[string]string{"certificate_pem": string(pairOf(t, "mallory").CertPEM()), "end_old": "2123-12-31"})
	n := 0
	for _, row := range []struct {
		name, method, path, body string
		client                   *http.Client
		status                   int
		what, note, err          string // of the line; what "": no line
	}{
		{"a dry run", "POST", "/api/v1/mappings?dry_run=1", string(addition), alice, 200, "", "", ""},
		{"an addition", "POST", "/api/v1/mappings?note=CHG-1", string(addition), alice, 200, "add mapping newcomer of user newcomer, fingerprint ", "CHG-1", ""},
		{"the same again", "POST", "/api/v1/mappings", string(addition), alice, 422, "add a mapping of user newcomer", "", "already mapped"},
		{"no JSON", "POST", "/api/v1/mappings", "{", alice, 400, "POST /api/v1/mappings", "", "not the JSON"},
		{"a rotation", "POST", "/api/v1/mappings/newcomer/rotate", string(next), alice, 200, "rotate mapping newcomer, its end: 2123-12-31, the next: mapping newcomer-", "", ""},
		{"a change", "PATCH", "/api/v1/mappings/newcomer", `{"disabled":true,"not_after":"2123-01-01"}`, alice, 200, "change mapping newcomer, disabled: true, not_after: 2123-01-01", "", ""},
		{"the own mapping", "DELETE", "/api/v1/mappings/staff", "", alice, 409, "remove mapping staff", "", "would not be user alice"},
		{"a removal", "DELETE", "/api/v1/mappings/newcomer", "", alice, 200, "remove mapping newcomer", "", ""},
		{"a form", "POST", "/mappings/old/edit", url.Values{"what": {"enable"}, "note": {"by\nhand"}}.Encode(), alice, 200, "change mapping old, disabled: false", `by\nhand`, ""},
		{"a stale form", "POST", "/mappings/old/edit", url.Values{"what": {"enable"}, "etag": {`"` + strings.Repeat("0", 64) + `"`}}.Encode(), alice, 412, "change mapping old, disabled: false", "", "in the meantime"},
		{"a preview", "POST", "/new-mapping", url.Values{"user": {"x"}, "step": {"preview"}, "certificate_pem": {stranger}}.Encode(), alice, 200, "", "", ""},
		{"a form that is refused", "POST", "/new-mapping", url.Values{"user": {"Default"}, "step": {"add"}, "certificate_pem": {stranger}}.Encode(), alice, 422, "add a mapping of user Default", "", "reserved"},
		{"a reload", "POST", "/api/v1/reload", "", alice, 200, "reload", "", ""},
		{"a reload with a note that is too long", "POST", "/api/v1/reload?note=" + strings.Repeat("x", 201), "", alice, 422, "reload", "", "more than 200 bytes"},
		{"a reload with a dry run", "POST", "/api/v1/reload?dry_run=1", "", alice, 422, "reload", "", "dry_run"},
		{"a close", "POST", "/api/v1/connections/" + itoa(connections[0].ID) + "/close", "", alice, 200, "close connection " + itoa(connections[0].ID) + " of port internal, from 127.0.0.1:", "", ""},
		{"a close of nothing", "POST", "/api/v1/connections/0/close", "", alice, 404, "close connection 0", "", "no open connection"},
		{"an auditor, whom the guard refuses", "POST", "/api/v1/reload", "", carol, 403, "", "", ""},
		{"a question", "POST", "/api/v1/explain", `{"user":"bob","port":"internal"}`, alice, 200, "", "", ""},
	} {
		etag := tag()
		pairs := []string{"If-Match", etag}
		if !strings.HasPrefix(row.path, "/api/") {
			pairs = []string{"Content-Type", "application/x-www-form-urlencoded"}
			if !strings.Contains(row.body, "etag=") {
				row.body += "&etag=" + url.QueryEscape(etag)
			}
		}
		if got := s.do(row.client, row.method, "admin", row.path, row.body, pairs...); got.StatusCode != row.status {
			t.Errorf("%s: %s\n%s", row.name, got.Status, got.body)
		}
		if row.what == "" {
			continue // a line would be in the place of the next
		}
		n++
		testkit.Eventually(t, row.name+" is logged", func() bool { return len(s.log.edits(t)) >= n })
		l := s.log.edits(t)[n-1]
		outcome, status := "ok", 0
		if row.status != 200 {
			outcome, status = "failed", row.status
		}
		if l.Outcome != outcome || l.Status != status || l.User != "alice" || l.Via != "tls" || l.Mapping != "staff" || l.Port != "admin" || l.Remote == "" ||
			!strings.HasPrefix(l.What, row.what) || l.Note != row.note || !strings.Contains(l.Error, row.err) || (row.err == "") != (l.Error == "") {
			t.Errorf("%s: logged %+v, want %q by alice with the error %q", row.name, l, row.what, row.err)
		}
	}
	s.do(alice, "POST", "admin", "/changes/reload", "", "Sec-Fetch-Site", "cross-site")
	testkit.Eventually(t, "the request of another site is logged", func() bool { return len(s.log.edits(t)) > n })
	if l := s.log.edits(t)[n]; len(s.log.edits(t)) != n+1 || l.What != "POST /changes/reload" || l.Error != "another site sent this request" || l.User != "alice" {
		t.Errorf("logged %+v, want one refused request of another site", l)
	}
}
