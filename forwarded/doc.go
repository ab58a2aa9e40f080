// Package forwarded reads and writes certificates that a gateway states in headers.
//
// A gateway ends TLS in front of the service: the client's certificate arrives as
// text. Certificates are public, so the text proves nothing. It is worth what the
// connection that it comes by is worth, and so a Receiver is asked in two steps:
//
//	verified, err := conn.VerifiedBy(ctx, receiver.GatewayTrust()) // the gateway's own certificate
//	if err == nil && receiver.IsGateway(verified) {
//		statement := receiver.Take(r.Header, r.Trailer)
//		… delete every identity header …
//		caller, err := receiver.Verify(ctx, statement)             // the client's certificate
//	}
//
// # Topology
//
// Every product has headers and an encoding of its own. A Topology is one of them,
// and its constructor says which settings of the gateway make it safe. Whatever the
// product, one header is one line with one value of at most 16 KiB and 10
// certificates; a second line, another spelling of the name (Client_Cert), a trailer
// of that name, parameters, base64 that is not canonical, bytes before, between or
// behind: all of that is refused as bad-header, and nothing is skipped. Who reads
// leniently reads what the attacker wrote and not what the gateway wrote.
//
// # Trust
//
// Two verifiers judge two certificates: Gateways.Trust the gateway's, by an exact pin
// or a name under an authority for gateways alone; Users the client's, with the
// anchors, profile, clock and revocation of users, exactly as if the client had come
// itself. A gateway's certificate is nobody's here. What a gateway says of a
// certificate ("verified") can refuse it, and never believes it. Possession of the
// key is what only the gateway can have checked; every format relies on it for that.
//
// No certificate is an answer too, and an attractive one to forge: by "Connection:
// Client-Cert" a client may make a gateway drop the header that it was about to add.
// Where the product can say that it looked and saw none, it must.
//
// # Caching
//
// Reading and verifying costs what a handshake costs. A Receiver keeps what it
// verified by the text that stated it, a bounded number, and asks only whether the
// trust and the clock still allow it. Refusals are never kept. The identity is the
// request's: nothing is kept for the connection, on which a gateway mixes callers.
//
// # Sending
//
// State and StateNone make a Go program a gateway, in the Rewrite of a
// httputil.ReverseProxy.
package forwarded
