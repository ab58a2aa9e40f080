package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
)

// call is one request to the page, with what every answer needs.
type call struct {
	*http.Request
	w      http.ResponseWriter
	page   *Page
	server *mtlsguard.Server
	id     identity.Identity
	now    time.Time
	what   string // the change of an edit, for the log
	dryRun bool   // it only asks what would be
}

// newCall returns the call of a request that has passed guarded.
func (p *Page) newCall(w http.ResponseWriter, r *http.Request) *call {
	id, _ := identity.FromContext(r.Context())
	return &call{Request: r, w: w, page: p, server: p.server.Load(), id: id, now: p.config.Now()}
}

// route is a path with its method, and the function that answers it.
type route struct {
	pattern string
	answer  func(*call) (any, error)
	edits   bool // the log has a line about each call
}

// The routes of the API. Each answers JSON; a nil value means that the function has answered.
var apiRoutes = []route{
	{"GET /api/v1/status", (*call).status, false},
	{"GET /api/v1/ports", (*call).listPorts, false},
	{"GET /api/v1/ports/{name}", (*call).port, false},
	{"GET /api/v1/connections", (*call).connections, false},
	{"POST /api/v1/connections/{id}/close", (*call).closeConnection, true},
	{"GET /api/v1/mappings", (*call).listMappings, false},
	{"POST /api/v1/mappings", (*call).addMapping, true},
	{"GET /api/v1/mappings/{id}", (*call).mapping, false},
	{"PATCH /api/v1/mappings/{id}", (*call).setMapping, true},
	{"DELETE /api/v1/mappings/{id}", (*call).removeMapping, true},
	{"POST /api/v1/mappings/{id}/rotate", (*call).rotateMapping, true},
	{"GET /api/v1/trust", (*call).trust, false},
	{"GET /api/v1/changes", (*call).changes, false},
	{"GET /api/v1/fleet", (*call).fleet, false},
	{"GET /api/v1/fleet/{number}", (*call).fleetChange, false},
	{"POST /api/v1/fleet/{number}/rollback", (*call).rollback, true},
	{"POST /api/v1/reload", (*call).reload, true},
	{"GET /api/v1/lint", (*call).lint, false},
	{"GET /api/v1/refusals", (*call).refusals, false},
	{"GET /api/v1/refusals/{reference}", (*call).refusal, false},
	{"GET /api/v1/series", (*call).series, false},
	{"POST /api/v1/explain", (*call).explainJSON, false},
	{"POST /api/v1/inspect", (*call).inspect, false},
	{"GET /api/v1/events", (*call).events, false},
}

// routes returns the handler of all paths.
func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range apiRoutes {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			c := p.newCall(w, req)
			v, err := r.answer(c)
			if r.edits {
				c.logEdit(err)
			}
			switch {
			case err != nil:
				writeFailure(w, asFailure(err))
			case v != nil:
				c.writeJSON(v)
			}
		})
	}
	for i := range screens {
		s := &screens[i]
		for _, pattern := range s.patterns {
			mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { p.newCall(w, req).show(s) })
		}
	}
	mux.HandleFunc("GET /static/{name}", serveStatic)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		fail(w, req, http.StatusNotFound, "the admin page has no such path, or not with this method", "begin at /")
	})
	return mux
}

// writeJSON sends a value as JSON.
func (c *call) writeJSON(v any) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		writeFailure(c.w, asFailure(err)) // still not a 200
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = body.WriteTo(c.w) // the caller may be gone
}
