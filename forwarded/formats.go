package forwarded

// formats are in the order of the list in messages.
var formats = []*format{&rfc9440, &nginx, &haproxy, &apache, &caddy, &traefik, &envoy, &awsALB, &azure, &google, &cloudflare, &webMethods}

var (
	rfc9440    = format{name: "rfc9440", header: "Client-Cert", own: true, chain: true, decode: decodeRFC9440, marks: true}
	nginx      = format{name: "nginx", header: "X-SSL-Client-Cert", decode: decodeEscapedPEM, marks: true, yes: "SUCCESS", none: "NONE"}
	haproxy    = format{name: "haproxy", header: "X-SSL-Client-Cert", chain: true, decode: decodeConcatenatedDER, marks: true, yes: "0", always: true}
	apache     = format{name: "apache", header: "X-SSL-Client-Cert", decode: decodeEscapedPEM, marks: true, yes: "SUCCESS", none: "NONE", null: "(null)", always: true}
	caddy      = format{name: "caddy", header: "X-Client-Cert", decode: decodeDER, null: "{http.request.tls.client.certificate_der_base64}", always: true}
	traefik    = format{name: "traefik", header: "X-Forwarded-Tls-Client-Cert", own: true, decode: decodeDERList}
	envoy      = format{name: "envoy", header: "X-Forwarded-Client-Cert", own: true, decode: decodeXFCC}
	awsALB     = format{name: "aws-alb", header: "X-Amzn-Mtls-Clientcert-Leaf", also: "X-Amzn-Mtls-Clientcert", own: true, decode: decodeEscapedPEM}
	azure      = format{name: "azure-app-service", header: "X-ARR-ClientCert", own: true, decode: decodeDER}
	google     = format{name: "google-cloud", header: "X-Client-Cert-Leaf", chain: true, decode: decodeRFC9440, marks: true, yes: "true", none: "false:false"}
	cloudflare = format{name: "cloudflare", header: "Cf-Client-Cert-Der-Base64", own: true, decode: decodeDER, marks: true, yes: "true"}
	webMethods = format{name: "webmethods", header: "X-Client-Cert", decode: decodeAnyPEM}
)

// RFC9440 returns the Topology of a gateway that sets Client-Cert and Client-Cert-Chain
// as in RFC 9440, such as a Go program with SetClientCert.
//
// The gateway must delete both headers of the client's request before it sets its own;
// otherwise every client can forward any certificate. Without a certificate the gateway
// sets neither header. So a client that makes the gateway drop its header, with
// "Connection: Client-Cert", would arrive as a client without a certificate: the gateway
// must remove such tokens before it sets the header, as ReverseProxy.Rewrite does.
func RFC9440() Topology { return rfc9440.topology("", "") }

// Nginx returns the Topology of nginx with
//
//	ssl_verify_client optional;                                   # or on
//	proxy_set_header X-SSL-Client-Cert   $ssl_client_escaped_cert;
//	proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
//
// An empty header means X-SSL-Client-Cert; with an empty verified no such header is read.
// With verified, SUCCESS is required beside a certificate and NONE without one: nginx
// omits headers that would be empty, so only NONE reports that there was no certificate.
// FAILED:reason, which ssl_verify_client optional_no_ca lets through, is refused.
//
// nginx replaces the client's headers of these names because it sets them. A location
// with a proxy_set_header of its own that does not repeat the two lines passes on the
// client's headers, and every client can forward any certificate. nginx drops header
// names with an underscore unless underscores_in_headers is on; they are refused here.
// nginx sends no intermediate certificates: authorities that issue for clients must be
// anchors of Config.Users.
func Nginx(header, verified string) Topology { return nginx.topology(header, verified) }

// HAProxy returns the Topology of HAProxy with
//
//	http-request set-header X-SSL-Client-Cert       %[ssl_c_der,base64]
//	http-request set-header X-SSL-Client-Cert-Chain %[ssl_c_chain_der,base64]
//	http-request set-header X-SSL-Client-Verify     %[ssl_c_verify]
//
// An empty header means X-SSL-Client-Cert. The issuers are in the header of that name with
// -Chain, which may be left out. With an empty verified no such header is read; otherwise
// 0 is required. Other values come from crt-ignore-err and ca-ignore-err, and are refused.
//
// HAProxy also sends 0 without a certificate, so the certificate's header reports that: it
// comes with every request, and is empty without a certificate. A request without the
// header is refused: with a condition after set-header ("if { ssl_c_used }") HAProxy would
// pass on the client's own header.
//
// HAProxy passes on other spellings (x_ssl_client_cert); they are refused here.
// ssl_c_chain_der is empty for a resumed session. Where clients send intermediates, make
// the intermediates anchors of Config.Users, or set no-tls-tickets on the bind line and
// tune.ssl.cachesize to 0.
func HAProxy(header, verified string) Topology { return haproxy.topology(header, verified) }

// Apache returns the Topology of httpd 2.4.10 or later with mod_ssl, mod_headers and
//
//	SSLVerifyClient optional
//	RequestHeader set X-SSL-Client-Cert   "expr=%{escape:%{SSL_CLIENT_CERT}}"
//	RequestHeader set X-SSL-Client-Verify "expr=%{SSL_CLIENT_VERIFY}"
//
// An empty header means X-SSL-Client-Cert; with an empty verified no such header is read.
// With verified, SUCCESS is required beside a certificate and NONE without one.
// FAILED:reason and GENEROUS, which SSLVerifyClient optional_no_ca lets through, are
// refused. The certificate's header comes with every request; without a certificate it is
// empty, or (null) where it is written as %{SSL_CLIENT_CERT}s.
//
// After that, mod_proxy drops the headers that the client names in Connection, these
// headers included, and httpd passes on other spellings (x_ssl_client_cert): both are
// refused here. Read as an environment variable (%{SSL_CLIENT_CERT}e), the certificate is
// empty without SSLOptions +StdEnvVars +ExportCertData. httpd sends no intermediate
// certificates: authorities that issue for clients must be anchors of Config.Users.
func Apache(header, verified string) Topology { return apache.topology(header, verified) }

// Caddy returns the Topology of Caddy 2 with
//
//	header_up X-Client-Cert {http.request.tls.client.certificate_der_base64}
//
// An empty header means X-Client-Cert. The header comes with every request; without a
// certificate it is empty or, from older versions, holds the placeholder as it is written
// above. A request without the header is refused. Caddy sends no verification result: use
// client_auth mode require_and_verify or verify_if_given. The modes request and require do
// not verify; then only Config.Users verifies the certificate. Caddy sends no intermediate
// certificates: authorities that issue for clients must be anchors of Config.Users.
func Caddy(header string) Topology { return caddy.topology(header, "") }

// Traefik returns the Topology of Traefik 2.9.4 or later with the middleware
// passTLSClientCert and pem: true. The header is X-Forwarded-Tls-Client-Cert, with the
// chain that the client sent.
//
// Without a certificate the middleware sets nothing and leaves the client's own header in
// place. Only the entry point deletes that header, for senders outside
// forwardedHeaders.trustedIPs and only without forwardedHeaders.insecure: a sender inside
// can forward any certificate. clientAuthType must be VerifyClientCertIfGiven or
// RequireAndVerifyClientCert; with the other types only Config.Users verifies the certificate.
// The header X-Forwarded-Tls-Client-Cert-Info is text and is never read.
func Traefik() Topology { return traefik.topology("", "") }

// Envoy returns the Topology of Envoy, Istio and Contour with
//
//	forward_client_cert_details: SANITIZE_SET
//	set_current_client_cert_details: {cert: true, chain: true}
//
// The header is X-Forwarded-Client-Cert. It must hold exactly one element, with Cert or
// Chain: the other modes (APPEND_FORWARD, FORWARD_ONLY, ALWAYS_FORWARD_ONLY) can pass on
// elements that the client wrote. Hash is checked if it is there; By, Subject, URI and DNS
// are text and are not used. Without a certificate Envoy sends no header. Other spellings
// of the header are refused here; headers_with_underscores_action: REJECT_REQUEST makes
// Envoy refuse them itself.
func Envoy() Topology { return envoy.topology("", "") }

// WebMethods returns the Topology of a gateway that sets X-Client-Cert in a format of
// webMethods API Gateway: PEM with blanks or nothing in place of its newlines,
// percent-encoded PEM, or base64 of PEM or DER. Only Config.Users verifies the certificate. The
// gateway must delete the client's own header; without a certificate it sets no header.
func WebMethods() Topology { return webMethods.topology("", "") }
