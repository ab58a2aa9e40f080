package upstream

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// process distinguishes this process from others in Via. It is no secret: a caller that sends it gets its own
// request refused.
var process = fmt.Sprintf("%08x", rand.Uint32())

var errLoop = errors.New("the request has come through this port before: the upstream leads back here")

// pseudonym names the port in Via (RFC 9110 section 7.6.3). Names of ports are tokens. A chain may
// pass two ports of one process, and that is no loop.
func (u *Upstream) pseudonym() string { return "mtlsguard-" + process + "-" + u.config.Port }

// looped reports whether a request has come through this port before.
func (u *Upstream) looped(r *http.Request) bool {
	name := u.pseudonym()
	for _, line := range r.Header["Via"] {
		for hop := range strings.SplitSeq(line, ",") {
			// received-protocol RWS received-by [ RWS comment ]
			if fields := strings.Fields(hop); len(fields) > 1 && fields[1] == name {
				return true
			}
		}
	}
	return false
}

// addVia adds this port to the hops of a request.
func (u *Upstream) addVia(header http.Header, in *http.Request) {
	header.Add("Via", fmt.Sprintf("%d.%d %s", in.ProtoMajor, in.ProtoMinor, u.pseudonym()))
}
