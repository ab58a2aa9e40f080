// Command node is a node of a fleet: it serves a handler behind the ports of its mtlsguard.yaml, and gets
// users, policy and trust from a store in etcd.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

func main() {
	config := flag.String("config", "mtlsguard.yaml", "the configuration of this node")
	url := flag.String("etcd", "http://127.0.0.1:2379", "the servers")
	flag.Parse()
	store, err := etcdstore.Open(etcdstore.Config{Fleet: "orders", Client: clientv3.Config{Endpoints: strings.Split(*url, ",")}})
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
