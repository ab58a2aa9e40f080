package forwarded

import (
	"net/http"
	"net/http/httputil"

	"github.com/dunglas/httpsfv"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/trust"
)

// unstatable is an empty Byte Sequence: it can be read, and is no certificate.
const unstatable = "::"

// State makes a Go program a gateway. In the Rewrite of a ReverseProxy it states
// the client's certificate to the next hop, as RFC 9440 says: the leaf in
// Client-Cert, its issuers without the anchor in Client-Cert-Chain. Without a
// certificate (the zero Verified) it is StateNone.
//
//	proxy := &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
//		pr.SetURL(next)
//		forwarded.SetClientCert(pr, verified) // of the connection that pr.In came by
//	}}
//
// A caller whose certificate is not believed must have been refused before: stated
// as the zero Verified it would become one without a certificate.
//
// It must be called for every request, and only in Rewrite: ReverseProxy has then
// taken out what the client names in Connection, so that nobody can make it drop
// what is stated. In Director it has not.
//
// No more than 16 KiB are stated. Issuers that do not fit are left out; for a leaf
// that does not fit, an empty one is stated, which the next hop refuses as
// bad-header: a caller with a certificate never becomes one without.
func SetClientCert(pr *httputil.ProxyRequest, v trust.Verified) {
	SetNoClientCert(pr)
	if v.IsZero() {
		return
	}
	cert, chain := encode(v)
	if len(cert) > maxStatement {
		cert, chain = unstatable, "" // fail closed
	}
	pr.Out.Header["Client-Cert"] = []string{cert}
	if chain != "" && len(cert)+len(chain) <= maxStatement {
		pr.Out.Header["Client-Cert-Chain"] = []string{chain}
	}
}

// StateNone states that the client has no certificate: it deletes every header, in
// every spelling, that says who somebody is, and the announcement of such trailers.
// The transport of the proxy must have a certificate by which the next hop knows it
// as a gateway.
func SetNoClientCert(pr *httputil.ProxyRequest) {
	for _, h := range []http.Header{pr.Out.Header, pr.Out.Trailer} {
		for name := range h {
			if idheader.Is(name) {
				delete(h, name)
			}
		}
	}
}

// encode writes the first chain.
func encode(v trust.Verified) (cert, chain string) {
	presented := v.Chains()[0]
	cert, err := httpsfv.Marshal(httpsfv.NewItem(presented[0].Raw))
	if err != nil {
		return unstatable, "" // fail closed
	}
	if len(presented) <= 2 { // nothing between the leaf and its anchor
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
