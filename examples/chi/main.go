// Command chi is a chi application with sub-routers, server-sent events and a WebSocket, behind a
// guard. Run it in this folder with certificates in config, such as those of the tests:
//
//	cp ../../testdata/pki/server.pem ../../testdata/pki/server-key.pem ../../testdata/pki/client-ca.* config
//	go run .
//
// and call it in a second terminal, in testdata/pki:
//
//	curl --cacert server-ca.pem --cert alice.pem --key alice-key.pem https://127.0.0.1:8443/orders/7
//
// The guard is outside the router: it decides about every request before chi routes it, and the
// handlers read the identity of the caller.
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
