package forwarded

import (
	"net/http"
	"net/http/httputil"

	"github.com/dunglas/httpsfv"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/trust"
)

// unreadable is an empty Byte Sequence. It is not a certificate, so the next hop refuses
// it.
const unreadable = "::"

// SetClientCert makes a Go program a gateway: in the Rewrite function of a ReverseProxy
// it forwards the client's certificate to the next hop (RFC 9440). It sets Client-Cert to
// the leaf and Client-Cert-Chain to the issuers without the anchor. For a client without
// a certificate (the zero Verified) it sets no header, which reports that there was none.
// Before that it deletes every identity header, in every spelling, and the announcement
// of such trailers.
//
//	proxy := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
//		pr.SetURL(next)
//		forwarded.SetClientCert(pr, verified) // of the connection that pr.In came from
//	}}
//
// Refuse a client whose certificate failed verification before you forward its request:
// with the zero Verified, it would become a client without a certificate.
//
// Call it for every request, and only in Rewrite: there, ReverseProxy has already removed
// the headers that the client names in Connection, so a client cannot make the proxy drop
// the certificate. In Director that happens afterwards.
//
// At most 16 KiB are forwarded. Issuers that do not fit are left out. A leaf that does not
// fit is replaced by an empty value, which the next hop refuses as bad-header: a client
// with a certificate never becomes one without.
//
// The transport of the proxy must present a certificate by which the next hop recognizes
// the gateway.
func SetClientCert(pr *httputil.ProxyRequest, v trust.Verified) {
	deleteIdentityHeaders(pr)
	if v.IsZero() {
		return
	}
	cert, chain := encode(v)
	if len(cert) > maxHeaderBytes {
		cert, chain = unreadable, "" // fail closed
	}
	pr.Out.Header["Client-Cert"] = []string{cert}
	if chain != "" && len(cert)+len(chain) <= maxHeaderBytes {
		pr.Out.Header["Client-Cert-Chain"] = []string{chain}
	}
}

// deleteIdentityHeaders deletes every header that identifies a caller, and the
// announcement of such trailers.
func deleteIdentityHeaders(pr *httputil.ProxyRequest) {
	for _, h := range []http.Header{pr.Out.Header, pr.Out.Trailer} {
		for name := range h {
			if idheader.Is(name) {
				delete(h, name)
			}
		}
	}
}

// encode encodes the first chain of v as RFC 9440 does.
func encode(v trust.Verified) (cert, chain string) {
	presented := v.Chains()[0]
	cert, err := httpsfv.Marshal(httpsfv.NewItem(presented[0].Raw))
	if err != nil {
		return unreadable, "" // fail closed
	}
	if len(presented) <= 2 { // no certificate between the leaf and its anchor
		return cert, ""
	}
	var issuers httpsfv.List
	for _, c := range presented[1 : len(presented)-1] {
		issuers = append(issuers, httpsfv.NewItem(c.Raw))
	}
	if chain, err = httpsfv.Marshal(issuers); err != nil {
		return cert, ""
	}
	return cert, chain
}
