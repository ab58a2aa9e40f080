// Command node is a node of a fleet: it serves a handler behind the ports of its mtlsguard.yaml, and gets
// users, policy and trust from a store in NATS.
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
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

func main() {
	config := flag.String("config", "mtlsguard.yaml", "the configuration of this node")
	url := flag.String("nats", "nats://127.0.0.1:4222", "the servers")
	flag.Parse()
	store, err := natsstore.Open(natsstore.Config{URL: *url, Fleet: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server, err := mtlsguard.Open(*config, mtlsguard.Options{Source: store, Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.User)
	})
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Serve(ctx, hello); err != nil {
		log.Fatal(err)
	}
}
