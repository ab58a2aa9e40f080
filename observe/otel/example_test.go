package otel_test

import (
	"context"
	"log"
	"net/http"

	"go.opentelemetry.io/otel/trace/noop"

	"github.com/mtlsguard/mtlsguard"
	guardotel "github.com/mtlsguard/mtlsguard/observe/otel"
)

// The server exports metrics, and spans of the allowed requests.
func Example() {
	telemetry, err := guardotel.New(guardotel.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Observe: telemetry.Observe, OnHandshake: telemetry.OnHandshake})
	if err != nil {
		log.Fatal(err)
	}
	registration, err := telemetry.Watch(server)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()

	orders := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	tracer := noop.NewTracerProvider().Tracer("orders") // in a real program: otelhttp.NewHandler
	traced := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, span := tracer.Start(r.Context(), "orders")
			defer span.End()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	log.Fatal(server.Serve(context.Background(), traced(telemetry.Handler(orders))))
}
