package reverse

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

type hopKey struct{}

// Via returns the way that a request took, where it came through a tunnel.
func HopFromContext(ctx context.Context) (Hop, bool) {
	h, ok := ctx.Value(hopKey{}).(*Hop)
	if !ok {
		return Hop{}, false
	}
	return *h, true
}

// newPseudonym names a gateway in Via (RFC 9110 section 7.6.3), and says nothing of it.
func newPseudonym() string { return "mtlsguard-" + strings.ToLower(rand.Text()) }

// mostHops is how many proxies a request may have passed.
const mostHops = 16

// looped reports whether a request was here before, or has been through so many
// proxies that it goes in circles around us. A client that invents the header refuses
// itself.
func looped(h http.Header, pseudonym string) bool {
	hops := 0
	for _, line := range h["Via"] {
		for entry := range strings.SplitSeq(line, ",") {
			hops++
			fields := strings.Fields(entry)
			if hops > mostHops || len(fields) > 1 && fields[1] == pseudonym {
				return true
			}
		}
	}
	return false
}

// addVia notes that the request was here.
func addVia(h http.Header, r *http.Request, pseudonym string) {
	h["Via"] = append(h["Via"], fmt.Sprintf("%d.%d %s", r.ProtoMajor, r.ProtoMinor, pseudonym))
}
