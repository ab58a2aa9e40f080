package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/mtlsguard/mtlsguard/identity"
	guard "github.com/mtlsguard/mtlsguard/middleware"
)

// newRouter returns the routes of the application.
func newRouter(g *guard.Guard) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Recoverer)
	r.Use(identity.Required) // answers 500 if the router is served without a guard
	r.Route("/orders", func(r chi.Router) {
		r.Get("/{id}", showOrder)
		r.With(g.RequireGroup("managers")).Delete("/{id}", deleteOrder) // in addition to the policy
	})
	r.Mount("/admin", newAdmin(g))
	r.Get("/events", sendEvents)
	r.Get("/chat", chat)
	return r
}

// newAdmin returns a router of its own, all of whose routes are for admins.
func newAdmin(g *guard.Guard) http.Handler {
	r := chi.NewRouter()
	r.Use(g.RequireGroup("admins"))
	r.Get("/users", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "all users") })
	return r
}

func showOrder(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	fmt.Fprintf(w, "order %s for %s\n", chi.URLParam(r, "id"), id.User)
}

func deleteOrder(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// sendEvents sends an event each second, until the caller goes away or is no longer trusted.
func sendEvents(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	w.Header().Set("Content-Type", "text/event-stream")
	stream := http.NewResponseController(w)
	for n := 1; ; n++ {
		if fmt.Fprintf(w, "data: event %d for %s\n\n", n, id.User); stream.Flush() != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
}

// chat answers each message of a WebSocket. When the caller's certificate is no longer trusted, the
// port closes the connection, and Read returns an error.
func chat(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, fmt.Appendf(nil, "%s says %s", id.User, message)); err != nil {
			return
		}
	}
}
