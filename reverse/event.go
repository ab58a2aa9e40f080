package reverse

import (
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The kinds of events.
const (
	Registered  = "registered"  // a tunnel carries requests from now on
	Refused     = "refused"     // a registration, a gateway or a caller is not accepted
	Draining    = "draining"    // a tunnel takes no more requests
	Gone        = "gone"        // a tunnel has ended
	Unavailable = "unavailable" // no tunnel was free for a request
	Failed      = "failed"      // a request was under way when its tunnel or its handler broke
)

// Event tells of one of them. It holds nothing that a stranger wrote.
type Event struct {
	Kind        string         // Registered, Refused, Draining, Gone, Unavailable or Failed
	Services    []string       // of the tunnel, or of the request
	Remote      string         // the other side's address: of the server, of the gateway as configured, or of the caller
	Certificate trust.Verified // the other side's, where it is believed
	Reason      reason.Reason  // of a refusal
	Err         error          // more about it, for logs
}

// Conn is one tunnel as the gateway sees it.
type Tunnel struct {
	Services    []string
	Remote      string         // the server's address
	Certificate trust.Verified // the server's, as it was believed when it registered
	Since       time.Time
	InFlight    int // requests under way
	Draining    bool

	tunnel *gatewayEnd
}

// Hop is the way that a request took. It is for handlers and logs, not for
// decisions: who is calling is in package identity.
type Hop struct {
	Gateway     trust.Verified // the gateway's certificate
	GatewayAddr string         // as the server dialled it
	Service     string         // for which the gateway took the request
	Remote      string         // the client's address, as the gateway saw it
	ServerName  string         // what the client asked the gateway for (SNI)
}
