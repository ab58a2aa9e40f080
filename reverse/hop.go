package reverse

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Hop is the way that a request took through a tunnel. It is for handlers and logs, not for
// decisions: package identity has the caller.
type Hop struct {
	Gateway     trust.Verified // the gateway's certificate
	GatewayAddr string         // the address that the server dialled
	Service     string         // the service that the gateway chose
	Remote      string         // the client's address, as the gateway sees it
	ServerName  string         // the name in the client's TLS handshake with the gateway (SNI)
}

type hopKey struct{}

// HopFromContext returns the hop of the request whose context this is. It returns false
// for a request that did not come through a tunnel.
func HopFromContext(ctx context.Context) (Hop, bool) {
	h, ok := ctx.Value(hopKey{}).(*Hop)
	if !ok {
		return Hop{}, false
	}
	return *h, true
}

// newPseudonym returns a name for a gateway in Via (RFC 9110 section 7.6.3) that reveals
// nothing about it.
func newPseudonym() string { return "mtlsguard-" + strings.ToLower(rand.Text()) }

// maxHops is how many proxies a request may have passed.
const maxHops = 16

// isLoop reports whether a request has passed this gateway before, or so many proxies that
// it must be in a loop. A client that invents the header only gets its own request refused.
func isLoop(h http.Header, pseudonym string) bool {
	hops := 0
	for _, line := range h["Via"] {
		for entry := range strings.SplitSeq(line, ",") {
			hops++
			fields := strings.Fields(entry)
			if hops > maxHops || len(fields) > 1 && fields[1] == pseudonym {
				return true
			}
		}
	}
	return false
}

// addVia adds this gateway to Via.
func addVia(h http.Header, r *http.Request, pseudonym string) {
	h["Via"] = append(h["Via"], fmt.Sprintf("%d.%d %s", r.ProtoMajor, r.ProtoMinor, pseudonym))
}
