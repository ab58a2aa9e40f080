// Package reverse lets a server that opens no port serve external clients, and identify
// them by their client certificates.
//
// The server, in the inner network, dials one or more gateways over mTLS and registers for
// the services that it serves. Clients call a gateway with their client certificates. The
// gateway forwards each request, with the caller's certificate, through a connection that
// the server has dialled: a tunnel. The server verifies the certificate again, with trust
// anchors of its own, and its guard maps it and authorizes the request, exactly as if the
// client had called a port of the server:
//
//	gateway, err := reverse.NewGateway(reverse.GatewayConfig{Authorize: mayServe, Service: byHost})
//	go ports.Serve(ctx, gateway.Registrations(), registrationPort) // for servers
//	err = ports.Serve(ctx, gateway, externalPort)                  // for clients
//
//	server, err := reverse.NewServer(reverse.ServerConfig{
//		Name: "tunnel", Services: []string{"orders"}, Addrs: []string{"gateway.acme.example:8444"},
//		Gateways:    forwarded.Gateways{Names: []string{"gateway.acme.example"}, Trust: gatewayTrust},
//		Certificate: own, Users: userTrust, Handler: guard.Handler(orders),
//	})
//	err = server.Serve(ctx)
//
// # Trust
//
// Three certificates are verified, each with trust anchors of its own:
//
//   - The external port of the gateway verifies the client's certificate, and the server
//     verifies it again with ServerConfig.Users.
//   - The registration port verifies the server's certificate. GatewayConfig.Authorize
//     returns the services that the server may serve; without it any trusted server could
//     take the requests of another one.
//   - The server verifies the gateway's certificate with ServerConfig.Gateways, by name or
//     fingerprint, in the handshake and every second after it. It is verified as the
//     certificate of a TLS server (trust.UsageServer), and gives a request no rights.
//
// For a client without a certificate the gateway forwards the information that there is
// none. If this information is missing too, the server refuses the request with the reason
// bad-header. An anonymous caller never gets the identity of the gateway; the strict and
// fallback settings of the tunnel's port apply.
//
// The server relies on the gateway for the proof that the client has the private key. If
// that is not acceptable, Gateway.ServePassthrough carries the client's TLS connection to
// the server, where a ports.Port serves it: see Server.Listener.
//
// # Protocol
//
// A server registers by an HTTP/1.1 upgrade on a TLS 1.3 connection. After that the gateway
// is the client of an HTTP/2 connection that the server has dialled. One stream carries
// control messages. Each request has a stream of its own; so has each upgraded connection
// (RFC 9110 section 7.8), and each connection that is carried end to end. The windows are
// such that no stream can take what others need. A tunnel takes a limited number of
// requests; further ones wait for a limited time in a limited queue.
//
// # Failures
//
// A server that stops loses no request: when the context of Server.Serve ends, the gateways
// send no more requests and close each tunnel after its last answer. After any other end of
// a tunnel the client gets an error: 502 before the answer has begun, an aborted connection
// or a reset stream after that, never an incomplete answer that looks complete. Pings detect
// a peer that has disappeared. A server dials again after a pause of random length, so that
// many servers do not come back at once.
package reverse
