package extauthz_test

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/gateways/extauthz"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// A program whose port "ask" answers Envoy.
func ExampleHandler() {
	ctx := context.Background()
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := extauthz.Handler(server.Handler(nil), extauthz.Config{
		Port: "ask", Question: middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI"},
	})
	if err != nil {
		log.Fatal(err)
	}
	port := server.Ports()[0]
	listener, err := port.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	if err := port.Configure(srv); err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(srv.Serve(listener)) }()
	log.Fatal(server.Run(ctx))
}
