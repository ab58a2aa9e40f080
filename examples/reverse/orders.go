package main

import (
	"encoding/json"
	"net/http"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// answer describes the caller, how it was identified, and the way of the request.
type answer struct {
	User    string       `json:"user"`
	Groups  []string     `json:"groups"`
	Port    string       `json:"port"`
	Via     identity.Via `json:"via"`
	Mapping string       `json:"mapping"`
	Path    string       `json:"path"`
	Client  string       `json:"client"`  // its address
	Gateway string       `json:"gateway"` // the gateway that forwarded the request
}

// orders returns an ordinary handler. It does not depend on the gateway.
func orders() http.Handler {
	return identity.Required(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		hop, _ := reverse.HopFromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer{
			User: id.User, Groups: id.Groups, Port: id.Port, Via: id.Via, Mapping: id.MappingID, Path: r.URL.Path,
			Client: r.RemoteAddr, Gateway: hop.Gateway.Leaf().Subject.CommonName,
		})
	}))
}
