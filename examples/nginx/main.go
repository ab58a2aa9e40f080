// Command nginx is a service behind nginx, which ends the TLS of the clients and forwards their
// certificates. The service verifies each of them again, and maps it as if the client had connected
// directly. config/nginx.conf is the configuration of nginx.
//
//	go run ./examples/nginx -config examples/nginx/config/mtlsguard.yaml
//
// The files in config name the certificates that both sides need. "go test ./examples/nginx" makes
// them, and starts both sides if nginx is installed.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
)

func main() {
	config := flag.String("config", "config/mtlsguard.yaml", "configuration `file`")
	flag.Parse()
	server, err := mtlsguard.Open(*config, mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err) // lists every configuration error in every file
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Serve(ctx, http.HandlerFunc(orders)); err != nil {
		log.Fatal(err)
	}
}

// orders does not know that there is a gateway: the identity is the client's.
func orders(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	fmt.Fprintf(w, "%s reads %s, via %s\n", id.User, r.URL.Path, id.Via)
}
