// Package prom tells Prometheus what a guard does:
//
//	metrics, err := prom.New(prom.Config{})
//	server, err := mtlsguard.Open(path, mtlsguard.Options{Observe: metrics.Observe, OnHandshake: metrics.OnHandshake})
//	metrics.Watch(server)
//	prometheus.MustRegister(metrics)
//
// Decisions are counted by port, outcome and reason, handshakes also by TLS version
// and resumption; what a server has in force, and until when, is read from it when
// Prometheus asks. The words are those of the log and of docs/reasons.md.
//
// A label is the name of a port or of a file of the configuration, or a word of a
// closed list. Nothing that a caller sends or is called becomes one: a stranger makes
// no series, and a scrape names no person.
//
// Counting takes no lock and allocates nothing. Nobody guards the handler that is
// scraped: it belongs on an address that callers cannot reach. docs/observe.md lists
// the metrics, alerts, and what dashboard.json shows.
package prom
