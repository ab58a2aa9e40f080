package main

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/identity"
)

// caller is the answer of the API: the identity of the caller, and how it was established.
type caller struct {
	User        string       `json:"user"`
	Groups      []string     `json:"groups"`
	Port        string       `json:"port"`
	Method      string       `json:"method"`
	Path        string       `json:"path"`
	Via         identity.Via `json:"via"`
	Mapping     string       `json:"mapping"`
	Fingerprint string       `json:"fingerprint"`
}

// api returns an ordinary chi router, without any code about certificates or policies.
func api() http.Handler {
	r := chi.NewRouter()
	r.Use(identity.Required)
	r.Get("/whoami", whoami)
	r.NotFound(whoami)
	r.MethodNotAllowed(whoami)
	return r
}

func whoami(w http.ResponseWriter, r *http.Request) {
	id, ok := identity.FromContext(r.Context())
	if !ok {
		http.Error(w, "no identity", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(caller{
		User: id.User, Groups: id.Groups, Port: id.Port, Method: r.Method, Path: r.URL.Path,
		Via: id.Via, Mapping: id.MappingID, Fingerprint: id.Fingerprint,
	})
}
