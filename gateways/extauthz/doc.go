// Package extauthz answers Envoy's external authorization: Envoy asks, by its filter
// envoy.filters.http.ext_authz in gRPC, whether a request is allowed, and serves it itself.
//
//	server, err := mtlsguard.Open("mtlsguard.yaml", options) // a port "ask" with forwarded: {format: envoy} and answer
//	handler, err := extauthz.Handler(server.Handler(nil), extauthz.Config{Port: "ask", …})
//	// serve handler on server.Ports with an http.Server of the program, and call server.Run
//
// Each call becomes the question that another gateway would send to the port over HTTP, and goes
// to the guard over the same connection: there is no second way to decide. The connection's
// certificate must be a gateway's, and the certificate in the call is verified again by the port's
// trust. Quotas, log lines and metrics are those of the port.
package extauthz
