// Command chi is a chi application with sub-routers, server-sent events and a WebSocket, behind a
// guard. Run it in this folder, with your own certificates in config:
//
//	go run .
//
// The guard stands outside the router: it decides about every request before chi routes it, and
// the handlers read the identity of the caller.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
)

func main() {
	server, err := mtlsguard.Open("config/mtlsguard.yaml", mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err) // lists every configuration error in every file
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, server); err != nil {
		log.Fatal(err)
	}
}

// serve opens the ports, and drains them when ctx ends.
func serve(ctx context.Context, server *mtlsguard.Server) error {
	return server.Serve(ctx, newRouter(server.Guard()))
}
