// Package reverse lets a server without an open port serve external clients, and
// know who they are.
//
// The server, in the inner network, dials one or more gateways over mTLS, registers
// for the services that it serves, and waits. Clients call a gateway with their
// certificates. The gateway hands each request through a connection that the server
// dialled, and states the certificate of its caller beside it. Inside, the
// certificate is verified again with anchors of the server's own, and the guard maps
// it and decides, exactly as if the client had come by a port:
//
//	gateway, err := reverse.NewGateway(reverse.GatewayConfig{Authorize: mayServe, Service: byHost})
//	go ports.Serve(ctx, gateway.Registrations(), registrationPort) // servers dial this one
//	err = ports.Serve(ctx, gateway, externalPort)                  // clients call this one
//
//	server, err := reverse.NewServer(reverse.ServerConfig{
//		Name: "tunnel", Services: []string{"orders"}, Gateways: []string{"gateway.acme.example:8444"},
//		Trust:       forwarded.Gateways{Names: []string{"gateway.acme.example"}, Trust: gatewayTrust},
//		Certificate: own, Clients: clientTrust, Handler: guard.Handler(orders),
//	})
//	err = server.Serve(ctx)
//
// # Who is believed
//
// Four authorities play a part, and none of them stands in for another. External
// clients are judged by the external port at the gateway and by Clients inside. A
// server that registers is judged by the registration port, and Authorize says which
// services it may serve: any other certificate could take the requests of others. A
// gateway is judged by ServerConfig.Trust, by name or pin, in the handshake and every
// second after it. Its certificate gives no rights to any request. It is judged as a
// server's, which is what it is here: Trust has a verifier of Usage trust.UsageServer.
//
// A client without a certificate is stated to have none. That is said, not left out:
// what says neither is refused as bad-header. Strict refuses such a caller inside; it
// never becomes the gateway, and Default only where the tunnel's port settings say so.
//
// A gateway is believed about the possession of the key, because nobody else can have
// checked it. Where that is too much, ServePassthrough carries the client's TLS
// connection to the server as it is, and a ports.Port serves it there:
//
//	srv := &http.Server{Handler: guard.Handler(orders)}
//	port.Configure(srv)
//	err = srv.Serve(port.Wrap(server.Listener()))
//
// # What is between them
//
// Registration is an HTTP/1.1 upgrade on a TLS 1.3 connection. After it the gateway
// is the client of an HTTP/2 connection that the server dialled. One stream is for the
// tunnel itself: it says welcome, drain, renew and goodbye. Each request is another;
// so is each connection of a client that is carried end to end, or that switched
// protocols (RFC 9110 section 7.8). Windows are such that no stream can take what the
// others need; a tunnel takes a bounded number of requests, the next ones wait for a
// bounded time in a bounded queue.
//
// # How it ends
//
// An announced end loses nothing: the context of Server.Serve ends, the gateways send no
// more, and close each tunnel behind its last answer. An end that nobody announced is
// an error for whoever was under way: 502 before an answer began, a cut connection or
// a reset stream after it, never half an answer that looks whole. Pings find a peer
// that is silently gone. A server dials again after a pause of random length, so that
// a crowd of servers does not come back at once.
package reverse
