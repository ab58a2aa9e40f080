// Package admin is a page for the people who run a server: which ports are open, which
// certificates end next, who is connected, and why a caller was refused. It has a JSON API with
// the same contents.
//
//	page, err := admin.New(admin.Config{Title: "orders"})
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Observe: page.Observe, OnHandshake: page.OnHandshake})
//	page.Watch(server)
//
// The program serves Page.Handler on a port of the server itself, so that mappings and the
// policy decide who may look, as they do for any other service:
//
//	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		if id, _ := identity.FromContext(r.Context()); id.Port == "admin" {
//			page.Handler().ServeHTTP(w, r)
//			return
//		}
//		api.ServeHTTP(w, r)
//	})
//	err = server.Serve(ctx, handler)
//
// docs/admin.md has the lines of the configuration and of the policy.
//
// The page remembers the last refusals, with their certificates, paths and addresses, in memory
// only: at most 10,000, and 10 MiB. A program without a Page remembers none.
package admin
