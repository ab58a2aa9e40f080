package admin_test

import (
	"context"
	"io"
	"log"
	"net/http"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/identity"
)

// The page on the port "admin", and an API on the others.
func Example() {
	page, err := admin.New(admin.Config{Title: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Observe: page.Observe, OnHandshake: page.OnHandshake})
	if err != nil {
		log.Fatal(err)
	}
	page.Watch(server)
	log.Fatal(server.Serve(context.Background(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := identity.FromContext(r.Context()); ok && id.Port == "admin" {
			page.Handler().ServeHTTP(w, r)
			return
		}
		_, _ = io.WriteString(w, "an order")
	})))
}
