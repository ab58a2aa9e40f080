package upstream

import (
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// misleading are headers by which a service takes a request for another one than the policy has
// decided about, or its caller for another one: method, path, host, scheme, address. They are in
// the form of idheader.Fold.
var misleading = map[string]bool{
	// the method
	"x-http-method": true, "x-http-method-override": true, "x-method-override": true, "x-tunnel-method": true,
	// the path
	"x-original-url": true, "x-original-uri": true, "x-original-path": true, "x-original-method": true, "x-rewrite-url": true, "x-rewrite-uri": true,
	"x-request-uri": true, "x-http-path-override": true, "x-envoy-original-path": true, "base-url": true, "x-proxy-url": true,
	"script-name": true, "x-script-name": true, "path-info": true, // gunicorn trusts SCRIPT_NAME and PATH_INFO from this machine
	"x-accel-mapping": true, "x-sendfile-type": true, // Rack maps files by them
	// the host and the scheme
	"x-original-host": true, "x-host": true, "x-envoy-original-host": true, "x-scheme": true, "x-url-scheme": true, "front-end-https": true,
	// the address
	"forwarded": true, "x-real-ip": true, "client-ip": true, "x-client-ip": true, "true-client-ip": true, "x-cluster-client-ip": true, "cf-connecting-ip": true,
	"cf-connecting-ipv6": true, "fastly-client-ip": true, "fly-client-ip": true, "x-azure-clientip": true, "x-azure-socketip": true, "x-appengine-user-ip": true,
	"x-envoy-external-address": true, "x-envoy-internal": true, "x-proxyuser-ip": true,
	// the proxy of the service's own calls (CVE-2016-5385): CGI makes HTTP_PROXY of it
	"proxy": true,
}

// ofFraming are headers by which HTTP/1.1 delimits messages, and routes and keeps connections.
// In another spelling they are no such headers to us, and may be to the service.
var ofFraming = map[string]bool{
	"connection": true, "content-length": true, "expect": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true,
	"transfer-encoding": true, "upgrade": true,
}

// isRemoved reports whether a header of the caller is not forwarded.
func (h *Headers) isRemoved(name string) bool {
	if idheader.Is(name) || h.names(name) {
		return true
	}
	folded := idheader.Fold(name)
	return misleading[folded] || strings.HasPrefix(folded, "x-forwarded-") || ofFraming[folded] && !strings.EqualFold(folded, name)
}

// clean deletes the headers that only a proxy may set.
func (h *Headers) clean(header http.Header) {
	for name := range header {
		if h.isRemoved(name) {
			delete(header, name)
		}
	}
}
