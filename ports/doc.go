// Package ports opens TLS ports that request, require or ignore the client's
// certificate.
//
//	port, err := ports.New(ports.Config{
//		Name: "internal", Addr: "127.0.0.1:8443", ClientAuth: ports.Require,
//		Certificate: certificate, Trust: verifier,
//	})
//	err = ports.Serve(ctx, guard.Handler(h), port)
//
// A port has one address, one client-certificate mode, one trust and one set of
// session-ticket keys. It does the handshakes itself, with a deadline and a limit, and
// returns finished *tls.Conn from Accept, so HTTP/2 and r.TLS work as usual. The connection
// and its verified certificate are in the request's context:
//
//	c, ok := ports.FromContext(r.Context())
//	verified, err := c.Verified(ctx)
//
// Config.OnHandshake is called after each handshake. For a refused one it gets the reason,
// the certificate and the remote address.
//
// # Under your own http.Server
//
// Serve and Server serve one handler on any number of ports. A program with its own
// http.Server uses the listener of a port, and Configure sets the fields that the port needs:
//
//	l, err := port.Listen(ctx)
//	srv := &http.Server{Handler: guard.Handler(h)}
//	err = port.Configure(srv)
//	err = srv.Serve(l)
//
// Configure keeps what the program has set and is stricter. TLS settings go into Config.TLS.
// Nothing may stand between the listener and the server: a wrapper that hides the
// *tls.Conn hides the certificate too, and every request is then refused.
package ports
