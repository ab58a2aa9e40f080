// Package otel tells OpenTelemetry what a guard does: metrics of decisions and
// handshakes and of what a server has in force, and attributes of the caller on the
// active span of a request.
//
//	telemetry, err := otel.New(otel.Config{})
//	server, err := mtlsguard.Open(path, mtlsguard.Options{Observe: telemetry.Observe, OnHandshake: telemetry.OnHandshake})
//	registration, err := telemetry.Watch(server)
//	server.Serve(ctx, tracing(telemetry.Handler(yours)))
//
// Attributes have the names of the semantic conventions, version 1.43.0, where those
// have one: tls.protocol.version, tls.resumed, tls.client.hash.sha256,
// tls.client.issuer, tls.client.not_after. What they do not know is called
// mtlsguard.port, mtlsguard.outcome, mtlsguard.reason and so on; the words are those
// of the log and of docs/reasons.md.
//
// Spans name no person unless Config.Names is set, and metrics never do: their
// attributes are the names of ports and of files of the configuration, and words of
// closed lists.
package otel
