package otel_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
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

// A configuration is loaded, and the server does not listen yet.
func ExampleTelemetry_Watch() {
	ctx := context.Background()
	reader := metric.NewManualReader() // an exporter in a real program
	telemetry, err := guardotel.New(guardotel.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mtlsguard.Open("../prom/testdata/mtlsguard.yaml", mtlsguard.Options{Observe: telemetry.Observe, OnHandshake: telemetry.OnHandshake})
	if err != nil {
		log.Fatal(err)
	}
	registration, err := telemetry.Watch(server)
	if err != nil {
		log.Fatal(err)
	}
	defer registration.Unregister()

	var metrics metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &metrics); err != nil {
		log.Fatal(err)
	}
	for _, m := range metrics.ScopeMetrics[0].Metrics {
		if gauge, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name != "mtlsguard.file.generation" {
			fmt.Println(m.Name, gauge.DataPoints[0].Value)
		}
	}
	// Output:
	// mtlsguard.ready 0
	// mtlsguard.degraded 0
	// mtlsguard.reload.failed 0
	// mtlsguard.generation 1
	// mtlsguard.connections 0
	// mtlsguard.anchors 1
}
