package prom_test

import (
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/observe/prom"
)

// The metrics are served on an address that callers cannot reach.
func Example() {
	metrics, err := prom.New(prom.Config{})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mtlsguard.Open("testdata/mtlsguard.yaml", mtlsguard.Options{Observe: metrics.Observe, OnHandshake: metrics.OnHandshake})
	if err != nil {
		log.Fatal(err)
	}
	metrics.Watch(server)
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	http.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); strings.HasSuffix(name, "_total") {
			fmt.Println(name)
		}
	}
	// Output:
	// mtlsguard_decisions_total
	// mtlsguard_handshakes_total
	// mtlsguard_log_dropped_total
	// mtlsguard_shadow_checked_total
	// mtlsguard_shadow_different_total
}
