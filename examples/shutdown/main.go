// Command shutdown has an http.Server of its own, with its own timeouts, and ends it gracefully.
//
//	go run ./examples/shutdown -config mtlsguard.yaml
//
// On SIGINT and SIGTERM the port accepts no more connections, requests that are under way have
// eight seconds to end, and the log is written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/identity"
)

func main() {
	config := flag.String("config", "mtlsguard.yaml", "configuration `file` with one port")
	flag.Parse()
	server, err := mtlsguard.Open(*config, mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err) // lists every configuration error in every file
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, server); err != nil {
		log.Fatal(err)
	}
}

// patience is how long requests may take after the signal to end.
const patience = 8 * time.Second

// serve serves on the first port until ctx ends, and then shuts down.
func serve(ctx context.Context, server *mtlsguard.Server) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	port := server.Ports()[0]
	listener, err := port.Listen(ctx) // it does the handshakes: nothing may wrap it
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler:      server.Handler(routes(server)), // the guard is outside the routes
		ReadTimeout:  10 * time.Second,
		WriteTimeout: 20 * time.Second,
	}
	if err := port.Configure(srv); err != nil {
		return err // srv has a setting that the port cannot honour
	}
	ran := make(chan error, 1)
	go func() { // watches the files and fetches CRLs; the program ends if that fails
		ran <- server.Run(ctx)
		stop()
	}()
	down := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		down <- srv.Shutdown(end)
	}()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return errors.Join(<-down, <-ran) // Serve returns before Shutdown has ended
}

// routes are the program's own, on the mux of the standard library.
func routes(server *mtlsguard.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "order %s for %s\n", r.PathValue("id"), id.User)
	})
	report := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select { // a report takes long
		case <-time.After(reportTakes):
			fmt.Fprintln(w, "all orders")
		case <-r.Context().Done():
		}
	})
	mux.Handle("GET /report", server.Guard().RequireGroup("auditors")(report)) // in addition to the policy
	return mux
}

// reportTakes is how long a report takes.
var reportTakes = 2 * time.Second
