// Package forwarded reads and writes the client certificates that a gateway forwards
// in headers.
//
// A gateway terminates TLS in front of the service and forwards the client's
// certificate as text. Certificates are public, so the text proves nothing: a
// forwarded certificate is worth as much as the connection that it arrives on.
// Therefore a Receiver works in two steps:
//
//	receiver, err := forwarded.New(forwarded.Config{Topology: forwarded.RFC9440(), Gateways: gateways, Users: userTrust})
//	…
//	verified, err := conn.VerifiedBy(ctx, receiver.GatewayTrust()) // the gateway's own certificate
//	if err == nil && receiver.IsGateway(verified) {
//		raw := receiver.Read(r.Header, r.Trailer)
//		… delete every identity header …
//		caller, err := receiver.Verify(ctx, raw)                   // the client's certificate
//	}
//
// # Topology
//
// Every product uses headers and an encoding of its own. A Topology describes one of
// them; the comment of its constructor names the settings that make the gateway safe.
// For every product, a header is one line with one value. All headers together hold at
// most 16 KiB and 10 certificates. A second line, another spelling of the name
// (Client_Cert), a trailer of that name, parameters, base64 that is not canonical, and
// bytes before, between or after the certificates are refused with the reason
// bad-header. Nothing is skipped: otherwise the text of an attacker could be read in
// place of the gateway's.
//
// # Trust
//
// Two verifiers check two certificates. Gateways.Trust verifies the gateway's
// certificate, which must also match an exact pin, or a name under an authority that
// issues for gateways only. Users verifies the client's certificate with the anchors,
// profile, clock and revocation for users, exactly as in a handshake with the client. A
// gateway's certificate never identifies a user. The gateway's own verification result
// can only lead to a refusal; it never replaces the verification here. The gateway alone
// can check that the client has the private key: every format relies on it for that.
//
// "The client sent no certificate" is an answer too, and an attacker may try to forge
// it: with "Connection: Client-Cert" a client can make a gateway drop the header that it
// was about to add. Where a product can report that there was no certificate, that
// report is required.
//
// # Caching
//
// To read and verify a certificate costs as much as a handshake. A Receiver caches
// verified certificates by the forwarded text, a bounded number of them, and checks on
// each use that the trust and the clock still allow them. Refusals are never cached. An
// identity belongs to one request and is never cached for the connection, because a
// gateway sends the requests of many callers on one connection.
//
// # Sending
//
// SetClientCert makes a Go program a gateway, in the Rewrite function of an
// httputil.ReverseProxy.
package forwarded
