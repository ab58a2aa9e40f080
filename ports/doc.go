// Package ports opens TLS ports that request, require or ignore the client's
// certificate.
//
// A port has one address, one client-certificate mode, one trust and one set of
// session-ticket keys. It does the handshake itself, under a deadline and a
// bound, and hands out finished *tls.Conn: net/http keeps HTTP/2, and r.TLS is
// there. The connection and its verified certificate are in the request's context:
//
//	c, ok := ports.FromContext(r.Context())
//	verified, err := c.Verified(ctx)
//
// Every handshake that is refused is an event with the reason, the certificate
// and the remote address (Config.OnHandshake).
//
// # Under your own http.Server
//
// Server runs many ports on one handler. A program that has its own http.Server
// gives it a port's listener and lets the port set what it needs:
//
//	l, err := port.Listen(ctx)
//	srv := &http.Server{Handler: guard.Handler(h)}
//	port.Configure(srv)
//	err = srv.Serve(l)
//
// Nothing may stand between the listener and the server: a wrapper that hides the
// *tls.Conn hides the certificate too, and every request is then refused.
package ports
