// Command minimal is the program of the README: it serves a handler behind the ports of
// mtlsguard.yaml in the current folder. SIGINT and SIGTERM drain and end it.
package main

import (
	"context"
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
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err) // lists every configuration error in every file
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context()) // id.User, id.Groups, id.Port, id.Via, id.Leaf
		fmt.Fprintln(w, "hello", id.User)
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Serve(ctx, hello); err != nil { // opens the ports, guards the handler, drains when ctx ends
		log.Fatal(err)
	}
}
