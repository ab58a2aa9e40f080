// Command node is a node of a fleet: it serves a handler behind the ports of its mtlsguard.yaml, and gets
// users, policy and trust from a store in PostgreSQL.
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

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/store/postgres"
)

func main() {
	config := flag.String("config", "mtlsguard.yaml", "the configuration of this node")
	database := flag.String("database", "dbname=fleet", "the database; variables such as PGHOST complete it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	settings, err := postgres.ParseConfig(*database)
	if err != nil {
		log.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store := postgres.New(pool, "orders")
	defer store.Close()
	server, err := mtlsguard.Open(*config, mtlsguard.Options{Source: store, Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintln(w, "hello", id.User)
	})
	if err := server.Serve(ctx, hello); err != nil {
		log.Fatal(err)
	}
}
