package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/configerror"
)

// openWithPage opens the server. The handler serves the admin page on one port, and the API on
// the others; with "" there is no page.
func openWithPage(config, port string, options mtlsguard.Options) (*mtlsguard.Server, http.Handler, error) {
	if port == "" {
		server, err := open(config, options)
		return server, api(), err
	}
	page, err := admin.New(admin.Config{Title: "example server", Edit: true})
	if err != nil {
		return nil, nil, err
	}
	options.Observe, options.OnHandshake = page.Observe, page.OnHandshake
	server, err := open(config, options)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(server.Status().Ports, func(p mtlsguard.PortStatus) bool { return p.Name == port }) {
		return nil, nil, &configerror.Error{What: fmt.Sprintf("-admin: %q is not a port of the configuration", port), Hint: "-admin NAME with the name of a port; docs/admin.md has the lines of one"}
	}
	page.Watch(server)
	return server, page.OnPort(port, api()), nil
}
