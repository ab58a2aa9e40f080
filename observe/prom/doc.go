// Package prom exports the decisions and handshakes of a guard, and the state of a server,
// to Prometheus:
//
//	metrics, err := prom.New(prom.Config{})
//	server, err := mtlsguard.Open(path, mtlsguard.Options{Observe: metrics.Observe, OnHandshake: metrics.OnHandshake})
//	metrics.Watch(server)
//	prometheus.MustRegister(metrics)
//
// Decisions are counted by port, outcome and reason, and handshakes also by TLS version
// and resumption. The current configuration of a server and its expiry dates are read
// at each scrape. The reasons are those of the log and of docs/reasons.md.
//
// A label's value is the name of a port, the name of a file of the configuration, or a
// value of a closed list. No value comes from a caller, so a stranger cannot create
// series, and a scrape names no user.
//
// Counting takes no lock and allocates nothing. The guard does not protect the handler
// that Prometheus scrapes: serve it on an address that callers cannot reach.
// docs/observe.md lists the metrics and alerts, and describes dashboard.json.
package prom
