package middleware

import "github.com/mtlsguard/mtlsguard/internal/question"

// ForwardAuth makes a port answer questions in place of serving requests. A gateway asks, by a
// request of its own, whether the request of its client is allowed: auth_request of nginx,
// forward_auth of Caddy, forwardAuth of Traefik. Each field names a header that describes the
// client's request. The port needs PortConfig.Forwarded, and the gateway's certificate for every
// question, whatever Fallback is.
//
// Guard.Handler answers such a port itself, and calls neither next nor Config.Refuse: with 200 and
// the headers X-Mtlsguard-User, X-Mtlsguard-Groups and X-Mtlsguard-Mapping, or with
// Outcome.Status, X-Mtlsguard-Reason and X-Mtlsguard-Reference, and never with a body. Quotas,
// Observe and authenticators see the client's request. What handlers inside the guard require,
// such as RequireGroup, is not asked.
//
// A question without exactly one value of each header, or with one in a second spelling, is
// refused with reason.BadHeader. The target is read as strictly as that of a request.
type ForwardAuth struct {
	Method string // the header with the method, such as X-Original-Method
	Target string // the header with the target as the client sent it, such as X-Original-URI
	// Host is the header with the host that the client requested, such as X-Forwarded-Host. It is
	// compared with PortConfig.ServerNames, in place of the Host and SNI of the question itself.
	// Empty: the question is about every host.
	Host string
}

// check adds what is wrong with the settings of a port.
func (f *ForwardAuth) check(p *PortConfig, fail func(what, hint string)) {
	headers := []question.Header{{Key: "Method", Name: f.Method, Example: "X-Original-Method"}, {Key: "Target", Name: f.Target, Example: "X-Original-URI"}}
	if f.Host != "" {
		headers = append(headers, question.Header{Key: "Host", Name: f.Host, Example: "X-Forwarded-Host"})
		if len(p.ServerNames) == 0 {
			fail(".ForwardAuth.Host has no effect without ServerNames", "list the hosts that this port answers for in ServerNames, or leave out Host")
		}
	}
	var deleted []string
	if p.Forwarded == nil {
		fail(".ForwardAuth needs Forwarded: a gateway asks about the certificate that it forwards", "set Forwarded, with the gateways that may ask")
	} else {
		deleted = p.Forwarded.Headers()
	}
	question.Check(headers, deleted, func(h question.Header, what, hint string) { fail(".ForwardAuth."+h.Key+": "+what, hint) })
}
