// Package outbound chooses the client certificate of each outgoing call. Its Transport is
// an http.RoundTripper that presents the certificate that the call's context names, and
// never shares a connection between two identities.
//
//	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: partnerCAs})
//	client := &http.Client{Transport: transport}
//
//	ctx = outbound.As(ctx, "partner-a")
//	r, err := http.NewRequestWithContext(ctx, "GET", "https://api.partner.example/orders", nil)
//	response, err := client.Do(r) // presents the certificate of partner-a, or fails
//
// The choice lives exactly as long as the context; there is nothing to clear. A call
// without a choice uses Config.Default. Without a Default it fails, and so does a call
// with an alias that the keystore does not know. No call ever falls back to another
// identity or to none. With AsNobody a call presents no certificate.
//
// # Connections
//
// Every credential has its own connections and TLS sessions, keyed by the content of the
// credential (its alias and chain) and by the current roots. A renewed certificate is new
// content. Old connections take no new call; they are closed when the last call on them
// has ended, which is when its response body is closed or read to its end. SetRoots does
// the same for all connections.
//
// # Where an identity goes
//
// A certificate is presented over https only, and in the innermost TLS connection only, so
// that a proxy never sees it. If the credential names origins, it is presented to these
// only. After a redirect to another origin, Config.CrossOrigin decides; by default the
// certificate is not presented. An http.Client reports redirects to its transport in
// Request.Response. A layer in between that follows redirects with requests of its own
// hides them: give the credential its origins.
//
// # When a server receives no certificate
//
// Config.OnHandshake is called after every handshake. It reports whether the server asked
// for a certificate, whether one was sent, whether the server's list of authorities and
// algorithms covers it, and whether a session was resumed. A server that asks only for
// some paths, in the middle of a connection (IIS, Azure), needs Config.Renegotiate.
//
// In TLS 1.3 a server verifies the certificate after the client's side of the handshake
// has ended, so its refusal is the error of the first call.
package outbound
