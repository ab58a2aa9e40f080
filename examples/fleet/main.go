// Command fleet is a node of a fleet: it serves a handler behind the ports of its mtlsguard.yaml, and gets
// users, policy and trust from a store in a folder. SIGINT and SIGTERM drain and end it.
//
// docs/fleet.md starts three of them. A program with another store differs in the one line that opens
// the store: see store/postgres, store/nats and store/etcd.
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
	"github.com/mtlsguard/mtlsguard/source"
)

func main() {
	config := flag.String("config", "mtlsguard.yaml", "the configuration of this node")
	folder := flag.String("store", "store", "the folder with the generations of the fleet")
	flag.Parse()
	store := source.Folder(*folder)
	// Open does not wait for the store if a generation is in keep: an outage stops no start.
	server, err := mtlsguard.Open(*config, mtlsguard.Options{Source: store, Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err) // lists every configuration error in every file, those of the generation too
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.User)
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Serve(ctx, hello); err != nil { // follows the store while it serves
		log.Fatal(err)
	}
}
