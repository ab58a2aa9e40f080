package forwarded

// formats are in the order in which messages list them.
var formats = []*format{&rfc9440, &nginx, &haproxy, &apache, &caddy, &traefik, &envoy, &awsALB, &azure, &google, &cloudflare, &webMethods}

var (
	rfc9440    = format{name: "rfc9440", header: "Client-Cert", own: true, chain: true, decode: decodeRFC9440, marks: true}
	nginx      = format{name: "nginx", header: "X-SSL-Client-Cert", decode: decodeEscapedPEM, marks: true, yes: "SUCCESS", none: "NONE"}
	haproxy    = format{name: "haproxy", header: "X-SSL-Client-Cert", chain: true, decode: decodeJoinedDER, marks: true, yes: "0", always: true}
	apache     = format{name: "apache", header: "X-SSL-Client-Cert", decode: decodeEscapedPEM, marks: true, yes: "SUCCESS", none: "NONE", null: "(null)", always: true}
	caddy      = format{name: "caddy", header: "X-Client-Cert", decode: decodeDER, null: "{http.request.tls.client.certificate_der_base64}", always: true}
	traefik    = format{name: "traefik", header: "X-Forwarded-Tls-Client-Cert", own: true, decode: decodeListedDER}
	envoy      = format{name: "envoy", header: "X-Forwarded-Client-Cert", own: true, decode: decodeXFCC}
	awsALB     = format{name: "aws-alb", header: "X-Amzn-Mtls-Clientcert-Leaf", also: "X-Amzn-Mtls-Clientcert", own: true, decode: decodeEscapedPEM}
	azure      = format{name: "azure-app-service", header: "X-ARR-ClientCert", own: true, decode: decodeDER}
	google     = format{name: "google-cloud", header: "X-Client-Cert-Leaf", chain: true, decode: decodeRFC9440, marks: true, yes: "true", none: "false:false"}
	cloudflare = format{name: "cloudflare", header: "Cf-Client-Cert-Der-Base64", own: true, decode: decodeDER, marks: true, yes: "true"}
	webMethods = format{name: "webmethods", header: "X-Client-Cert", decode: decodeAnyPEM}
)

// RFC9440 is for gateways that send Client-Cert and Client-Cert-Chain as RFC 9440
// says, State of this package among them.
//
// The gateway must delete both headers of the request that it received before it
// sets its own; one that does not lets every client state whom it likes. Without a
// certificate it sends neither. Then a client that can make the gateway drop its
// header, by "Connection: Client-Cert", comes without a certificate: the gateway
// must take such tokens out before it sets the header, as ReverseProxy.Rewrite does.
func RFC9440() Topology { return rfc9440.topology("", "") }

// Nginx is for nginx with
//
//	ssl_verify_client optional;                                   # or on
//	proxy_set_header X-SSL-Client-Cert   $ssl_client_escaped_cert;
//	proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
//
// An empty header is X-SSL-Client-Cert; an empty verified looks at no such header.
// With it, SUCCESS is wanted beside a certificate, and NONE where there is none:
// nginx sends no header that would be empty, so NONE is the only sign that it
// looked. FAILED:reason, which optional_no_ca lets through, is refused.
//
// nginx replaces the client's own headers of these names, because it sets them;
// where a location with a proxy_set_header of its own does not repeat the two lines,
// it passes the client's on, and everyone is whom they like. It drops spellings with
// an underscore unless underscores_in_headers is on; these are refused here. nginx
// sends no intermediate certificates: authorities that issue for clients must be
// anchors of Users themselves.
func Nginx(header, verified string) Topology { return nginx.topology(header, verified) }

// HAProxy is for HAProxy with
//
//	http-request set-header X-SSL-Client-Cert       %[ssl_c_der,base64]
//	http-request set-header X-SSL-Client-Cert-Chain %[ssl_c_chain_der,base64]
//	http-request set-header X-SSL-Client-Verify     %[ssl_c_verify]
//
// An empty header is X-SSL-Client-Cert; the issuers are in the header of that name
// with -Chain, which may be left out; an empty verified looks at no such header.
// With it, 0 is wanted. HAProxy says 0 also where there was no certificate, so the
// certificate's header says that: it comes with every request, and has nothing in
// it where there was none. Without it the request is refused: a condition behind
// set-header ("if { ssl_c_used }") lets the client's own header through instead.
// Other words than 0 come from crt-ignore-err and ca-ignore-err, and are refused.
//
// HAProxy passes other spellings on (x_ssl_client_cert); they are refused here.
// ssl_c_chain_der has nothing in it for a resumed session: where clients send
// intermediates, these must be anchors of Users, or the bind line says
// no-tls-tickets and tune.ssl.cachesize is 0.
func HAProxy(header, verified string) Topology { return haproxy.topology(header, verified) }

// Apache is for httpd 2.4.10 or later with mod_ssl, mod_headers and
//
//	SSLVerifyClient optional
//	RequestHeader set X-SSL-Client-Cert   "expr=%{escape:%{SSL_CLIENT_CERT}}"
//	RequestHeader set X-SSL-Client-Verify "expr=%{SSL_CLIENT_VERIFY}"
//
// An empty header is X-SSL-Client-Cert; an empty verified looks at no such header.
// With it, SUCCESS is wanted beside a certificate, and NONE where there is none.
// FAILED:reason and GENEROUS, which optional_no_ca lets through, are refused. The
// certificate's header comes with every request; without a certificate there is
// nothing in it, or (null) where it is written as %{SSL_CLIENT_CERT}s.
//
// mod_proxy then drops what the client names in Connection, these headers too, and
// httpd passes other spellings on (x_ssl_client_cert): both are refused here. Read
// as an environment variable (%{SSL_CLIENT_CERT}e) the certificate is empty without
// SSLOptions +StdEnvVars +ExportCertData. httpd sends no intermediate certificates:
// authorities that issue for clients must be anchors of Users themselves.
func Apache(header, verified string) Topology { return apache.topology(header, verified) }

// Caddy is for Caddy 2 with
//
//	header_up X-Client-Cert {http.request.tls.client.certificate_der_base64}
//
// An empty header is X-Client-Cert. It comes with every request; where there was no
// certificate it has nothing in it, or, of older versions, the placeholder as it is
// written above. Without the header the request is refused. Caddy does
// not say whether it verified: client_auth mode require_and_verify or
// verify_if_given does, request and require do not. What they let through is judged
// by Users here, and by nobody else. Caddy sends no intermediate certificates.
func Caddy(header string) Topology { return caddy.topology(header, "") }

// Traefik is for Traefik 2.9.4 or later with the middleware passTLSClientCert and
// pem: true, in X-Forwarded-Tls-Client-Cert: the chain as the client sent it.
//
// The middleware sets nothing where there was no certificate, and leaves the
// client's own header: it is deleted only by the entry point, for senders outside
// forwardedHeaders.trustedIPs and without forwardedHeaders.insecure. Whoever is
// among these states whom they like. clientAuthType must be
// VerifyClientCertIfGiven or RequireAndVerifyClientCert; what the others let through
// is judged by Users here, and by nobody else. The header -Info is text and is
// never read.
func Traefik() Topology { return traefik.topology("", "") }

// Envoy is for Envoy, Istio and Contour, in X-Forwarded-Client-Cert, with
//
//	forward_client_cert_details: SANITIZE_SET
//	set_current_client_cert_details: {cert: true, chain: true}
//
// One element is read, with Cert or Chain; every other mode can send a client's own
// elements along (APPEND_FORWARD, FORWARD_ONLY, ALWAYS_FORWARD_ONLY), and more than
// one is refused. Hash must fit where it is given; By, Subject, URI and DNS are text
// and are not read. Without a certificate Envoy sends nothing.
// headers_with_underscores_action: REJECT_REQUEST keeps other spellings out before
// they are refused here.
func Envoy() Topology { return envoy.topology("", "") }

// AWSALB is for an AWS Application Load Balancer whose mutual authentication is in
// verify mode, in X-Amzn-Mtls-Clientcert-Leaf; Named also takes the
// X-Amzn-Mtls-Clientcert of passthrough mode, with the chain that nobody has
// verified but Users here. Without a certificate the balancer sends nothing.
//
// A balancer shows its targets no certificate, so it cannot be one of Gateways: a
// proxy in front of the service that only the balancer reaches must show one, and
// pass this header on. Who reaches that proxy otherwise is whom they like.
func AWSALB() Topology { return awsALB.topology("", "") }

// AzureAppService is for Azure App Service with client certificates on, in
// X-ARR-ClientCert. The service deletes the client's own header and verifies
// nothing: Users does. Without a certificate there is no header. As with AWSALB, a
// proxy with a certificate of its own must stand between.
func AzureAppService() Topology { return azure.topology("", "") }

// GoogleCloud is for Google Cloud's Application Load Balancers with custom headers
//
//	X-Client-Cert-Leaf:{client_cert_leaf}
//	X-Client-Cert-Chain:{client_cert_chain}
//	X-Client-Cert-Chain-Verified:{client_cert_chain_verified}
//
// An empty header is X-Client-Cert-Leaf; the issuers are in the header of that name
// with -Chain in place of -Leaf; an empty verified looks at no such header. With it,
// true is wanted.
//
// The balancer leaves the certificate empty where there was none, where it is above
// 16 KB, and where it failed: an empty one is refused as it stands. To let requests
// without a certificate through, the verified header is
// {client_cert_present}:{client_cert_chain_verified}, and Named gets true:true for
// it: then false:false says that there was none. In the mode REJECT_INVALID they
// never come.
//
// The balancer replaces the client's headers of names that are configured, and of
// no others.
func GoogleCloud(header, verified string) Topology { return google.topology(header, verified) }

// Cloudflare is for Cloudflare with client certificate forwarding on, in
// Cf-Client-Cert-Der-Base64. Without a certificate there is no header. Named can
// also want Cf-Cert-Verified, of the managed transform "Add TLS client auth
// headers", to be true.
//
// A zone forwards certificates that it could not verify: Users does. Authenticated
// Origin Pulls with a certificate of your own makes Cloudflare one of Gateways; the
// certificate that all zones share lets every customer of Cloudflare state
// certificates.
func Cloudflare() Topology { return cloudflare.topology("", "") }

// WebMethods is for what stands in front of webMethods API Gateway and speaks its
// X-Client-Cert: PEM with blanks or nothing for its newlines, percent-encoded PEM, or
// base64 of PEM or DER. Nobody has verified it but Users here. What sets it must
// delete the client's own; without a certificate there is no header.
func WebMethods() Topology { return webMethods.topology("", "") }
