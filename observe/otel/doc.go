// Package otel exports the decisions and handshakes of a guard, and the state of a server,
// to OpenTelemetry: as metrics, and as attributes of the caller on the active span of a
// request.
//
//	telemetry, err := otel.New(otel.Config{})
//	server, err := mtlsguard.Open(path, mtlsguard.Options{Observe: telemetry.Observe, OnHandshake: telemetry.OnHandshake})
//	registration, err := telemetry.Watch(server)
//	server.Serve(ctx, tracing(telemetry.Handler(yours)))
//
// Attributes have the names of the semantic conventions, version 1.43.0, where those
// have one: tls.protocol.version, tls.resumed, tls.client.hash.sha256,
// tls.client.issuer, tls.client.not_after. Other attributes are mtlsguard.port,
// mtlsguard.outcome, mtlsguard.reason and so on, with the values of the log and of
// docs/reasons.md.
//
// Spans name users only if Config.Names is set. Metrics never name users: the values of
// their attributes are the names of ports and files of the configuration, and values of
// closed lists.
package otel
