// Package outbound calls other services as whom the call is made for: an
// http.RoundTripper with a client certificate per call, and connections that are
// never shared between two identities.
//
//	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: partnerCAs})
//	client := &http.Client{Transport: transport}
//
//	ctx = outbound.As(ctx, "partner-a")
//	r, err := http.NewRequestWithContext(ctx, "GET", "https://api.partner.example/orders", nil)
//	response, err := client.Do(r) // presents the certificate of partner-a, or fails
//
// The choice lives exactly as long as the context, and there is nothing to clear.
// A call without a choice uses Config.Default; without that it is an error, and so
// is an alias that the keystore does not know. Nothing ever falls back: not to
// another identity, and not to none. AsNobody is how a call says that it sends no
// certificate.
//
// # Connections
//
// Every credential has connections and TLS sessions of its own, kept by the
// content of the credential (alias, chain and key) and by the roots in force.
// A renewed certificate is new content. The old connections take no new call; they
// are closed when the last call on them has ended, which is when its response body
// is closed or read to its end. SetRoots does the same for all of them.
//
// # Where an identity goes
//
// Over https only; into the innermost TLS connection only, so that a proxy never
// sees it; to the origins of the credential only, if it names any; and across a
// redirect to another origin only as Config.CrossOrigin says, which is: not.
// An http.Client tells a transport of its redirects in Request.Response. Where a
// layer in between makes requests of its own out of redirects, that is lost: limit
// the credential to its origins.
//
// # When a server says that it got no certificate
//
// Config.Observe is told of every handshake: whether the server asked, whether a
// certificate was sent, whether the server's list of authorities and algorithms
// covers it, and whether a session was resumed. A server that asks only for some
// paths, in the middle of a connection (IIS, Azure), needs Config.Renegotiate.
//
// In TLS 1.3 a server judges the certificate after the client's side of the
// handshake is over, so that its refusal is the error of the first call.
package outbound
