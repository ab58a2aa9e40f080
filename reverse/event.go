package reverse

import (
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// The kinds of events.
const (
	Registered  = "registered"  // a tunnel carries requests from now on
	Refused     = "refused"     // a registration, a gateway or a caller was refused, or an attempt to connect failed
	Draining    = "draining"    // a tunnel takes no more requests
	Gone        = "gone"        // a tunnel has ended
	Unavailable = "unavailable" // a request found no free place
	Failed      = "failed"      // a tunnel or a handler failed with a request in flight
)

// Event describes a change of a tunnel, or a request that failed. None of its fields but
// Err holds text that a client has sent.
type Event struct {
	Kind        string         // Registered, Refused, Draining, Gone, Unavailable or Failed
	Services    []string       // of the tunnel, or of the request
	Remote      string         // the server's, the gateway's (as configured) or the caller's address
	Certificate trust.Verified // of the same peer; zero if it has none that is trusted
	Reason      reason.Reason  // of a refusal; "" for an error of the network
	Err         error          // details for logs
}
