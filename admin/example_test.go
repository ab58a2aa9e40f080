package admin_test

import (
	"context"
	"io"
	"log"
	"net/http"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
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
	orders := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an order") })
	log.Fatal(server.Serve(context.Background(), page.OnPort("admin", orders)))
}
