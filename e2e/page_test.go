package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
)

// pagesSite returns a site whose port internal has the admin page, and whose port public has
// metrics.
func pagesSite(tb testing.TB) *site {
	s := newSite(tb)
	s.handler = nil
	s.put(config, s.get(config)+"admin: {port: internal, title: orders}\nmetrics: {port: public, path: /stats}\n")
	s.put("policy.csv", "p, user:alice, *, *, /*, allow\n")
	return s
}

// withPages returns options with an admin page, and metrics that are a text.
func withPages(tb testing.TB) mtlsguard.Options {
	page, err := admin.New(admin.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return mtlsguard.Options{
		Observe: page.Observe, OnHandshake: page.OnHandshake, Admin: page.Serve,
		Metrics: func(s *mtlsguard.Server) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "generation ", s.Status().Generation) }), nil
		},
	}
}

// The file names the ports of the admin page and of the metrics. The policy decides who may read
// them, and a reload changes what the page may do.
// Covers Y12.
func TestPagesOfTheFile(t *testing.T) {
	t.Parallel()
	l := pagesSite(t).start(withPages(t))
	alice, bob := l.client(l.alice), l.client(l.bob)
	for _, row := range []struct {
		client *http.Client
		url    string
		status int
		part   string
	}{
		{alice, l.url("internal", "/api/v1/status"), 200, `"user": "alice"`},
		{alice, l.url("internal", "/"), 200, "· orders</title>"},
		{bob, l.url("internal", "/api/v1/status"), 403, "no-rule"},
		{alice, l.url("internal", "/stats"), 404, "no such path"},
		{alice, l.url("public", "/stats"), 200, "generation 1"},
		{alice, l.url("public", "/stats/"), 404, "Not Found"},
		{alice, l.url("public", "/api/v1/status"), 404, "Not Found"},
		{l.client(nil), l.url("public", "/stats"), 403, "no-rule"},
	} {
		if status, _, body := send(t, row.client, "GET", row.url); status != row.status || !strings.Contains(body, row.part) {
			t.Errorf("%s: got %d %s, want %d %q", row.url, status, body, row.status, row.part)
		}
	}
	remove := l.url("internal", "/api/v1/mappings/alice?dry_run=1")
	if status, _, body := send(t, alice, "DELETE", remove); status != 403 || !strings.Contains(body, "admin: {edit: true}") {
		t.Errorf("without edit: %d %s", status, body)
	}
	l.sub(config, "title: orders", "title: bills, edit: true")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _, body := send(t, alice, "DELETE", remove); status != 428 {
		t.Errorf("with edit, without If-Match: %d %s", status, body)
	}
	if _, _, body := send(t, alice, "GET", l.url("internal", "/")); !strings.Contains(body, "· bills</title>") {
		t.Error(body)
	}
	l.sub(config, "path: /stats", "path: /metrics")
	if err := l.server.Reload(); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := send(t, alice, "GET", l.url("public", "/stats")); status != 404 {
		t.Errorf("the former path: %d, want 404", status)
	}
	if status, _, body := send(t, alice, "GET", l.url("public", "/metrics")); body != "generation 3" {
		t.Errorf("the new path: %d %s, want generation 3", status, body)
	}
}

// A page in the file that the program does not serve is an error, before a port is open. The
// program's own handler never gets the requests.
// Covers Y12.
func TestPagesThatTheProgramDoesNotServe(t *testing.T) {
	t.Parallel()
	s := pagesSite(t)
	server, err := mtlsguard.Open(s.path(config), mtlsguard.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Errorf("%s reached the program's handler", r.URL) })
	for _, err := range []error{server.Serve(t.Context(), h), server.Run(t.Context())} {
		for _, want := range []string{"mtlsguard.yaml:21:", "admin: the program does not serve it", "metrics: the program does not serve it"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
	s.handler = h
	l := s.startWith(mtlsguard.Options{}, func(o mtlsguard.Options) (*mtlsguard.Server, error) {
		s.sub(config, "admin: {port: internal, title: orders}\nmetrics: {port: public, path: /stats}\n", "")
		return mtlsguard.Open(s.path(config), o)
	})
	s.put(config, s.get(config)+"admin: {port: internal}\n")
	if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), "admin: the program does not serve it") {
		t.Error(err)
	}
}

// A page that is new, and ports that nothing serves any longer, need a restart.
// Covers Y12.
func TestReloadOfPages(t *testing.T) {
	t.Parallel()
	s := pagesSite(t)
	s.sub(config, "admin: {port: internal, title: orders}\n", "")
	s.sub(config, "port: public", "port: internal")
	s.sub(config, "    strict: false\n", "    strict: false\n    upstream: {url: \"http://127.0.0.1:9\"}\n")
	l := s.start(withPages(t))
	for old, row := range map[string][2]string{
		"metrics: {port: internal":                  {"admin: {port: internal}\nmetrics: {port: internal", "admin is new: this needs a restart"},
		"metrics: {port: internal, path: /stats}\n": {"", `port "internal" has no upstream`},
	} {
		before := s.get(config)
		s.sub(config, old, row[0])
		if err := l.server.Reload(); err == nil || !strings.Contains(err.Error(), row[1]) {
			t.Errorf("%q: got %v, want %q", row[0], err, row[1])
		}
		s.put(config, before)
	}
	if status, _, body := send(t, l.client(l.alice), "GET", l.url("internal", "/stats")); status != 200 {
		t.Errorf("got %d %s, want 200", status, body)
	}
}
