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
	what   string // an edit asks for, for the log
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
}

// The routes of the API. Each answers JSON; a nil value means that the function has answered.
var apiRoutes = []route{
	{"GET /api/v1/status", (*call).status},
	{"GET /api/v1/ports", (*call).listPorts},
	{"GET /api/v1/ports/{name}", (*call).port},
	{"GET /api/v1/connections", (*call).connections},
	{"POST /api/v1/connections/{id}/close", (*call).closeConnection},
	{"GET /api/v1/mappings", (*call).listMappings},
	{"POST /api/v1/mappings", (*call).addMapping},
	{"GET /api/v1/mappings/{id}", (*call).mapping},
	{"PATCH /api/v1/mappings/{id}", (*call).setMapping},
	{"DELETE /api/v1/mappings/{id}", (*call).removeMapping},
	{"POST /api/v1/mappings/{id}/rotate", (*call).rotateMapping},
	{"GET /api/v1/trust", (*call).trust},
	{"GET /api/v1/changes", (*call).changes},
	{"POST /api/v1/reload", (*call).reload},
	{"GET /api/v1/lint", (*call).lint},
	{"GET /api/v1/refusals", (*call).refusals},
	{"GET /api/v1/refusals/{reference}", (*call).refusal},
	{"GET /api/v1/series", (*call).series},
	{"POST /api/v1/explain", (*call).explainJSON},
	{"POST /api/v1/inspect", (*call).inspect},
	{"GET /api/v1/events", (*call).events},
}

// routes returns the handler of all paths.
func (p *Page) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range apiRoutes {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, req *http.Request) {
			c := p.newCall(w, req)
			v, err := r.answer(c)
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
