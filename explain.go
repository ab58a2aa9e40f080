package mtlsguard

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/serveonce"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ExplainRequest describes a request for Explain. Port is required.
type ExplainRequest struct {
	Port         string              // a port of the configuration
	Method       string              // empty: GET
	Path         string              // the request target as sent, "/orders/7?all=1"; empty: /
	Host         string              // empty: a server name of the port, or localhost
	ServerName   string              // SNI; empty: Host, if that is a name
	Certificates []*x509.Certificate // of the client, leaf first; empty: no client certificate
	Header       http.Header         // such as a forwarded certificate, or credentials
}

// Explanation is the answer that a Server would give to a request, and the reasons for it.
// It names users, mappings and rules: show it to operators only.
type Explanation struct {
	// Outcome is the outcome of the guard. If no request would reach the guard, it holds
	// the refusal only.
	middleware.Outcome
	// Refused reports that the port would refuse the handshake: there is no connection, and
	// no status.
	Refused bool
	// Unread reports that net/http would reject the request, with Status and no reason,
	// before the guard sees it.
	Unread  bool
	Mapping []certmap.Step      // the result of each mapping; nil without a verified certificate, and with Options.Map
	Policy  *policy.Explanation // nil if the guard would not use the policy, and with Options.Policy
	Quotas  []middleware.Quota  // those that count the request, if the policy allows it
	Steps   []string            // the steps of the guard, as Options.Debug sends them
}

// Explain returns the answer that the server would give to a request in HTTP/1.1, under the
// current configuration. It uses the code that serves: the handshake's checks, net/http's
// parser, and the guard. It leaves out limits, deadlines, and the client's proof that it has
// the key. It queries an OCSP responder, as a handshake would. It logs and counts nothing.
//
// The error is an invalid ExplainRequest. Explain does not wait for a reload: it begins
// again if the configuration changes meanwhile.
func (s *Server) Explain(ctx context.Context, q ExplainRequest) (Explanation, error) {
	const rounds = 20
	for range rounds {
		g, number, before := s.appliedState()
		x, err := s.explain(ctx, g, number, q)
		if _, _, after := s.appliedState(); before == after {
			return x, err
		}
	}
	return Explanation{}, errors.New("mtlsguard: the configuration changes all the time: explain again later")
}

// appliedState returns the current generation, its number, and how often a generation was
// applied. It waits while one is being applied.
func (s *Server) appliedState() (g *site.Generation, number, applied uint64) {
	s.applying.Lock()
	defer s.applying.Unlock()
	return s.currentGeneration(), s.generation.Load(), s.applied
}

// explain explains a request under generation g, which has to be the current one until
// explain returns.
func (s *Server) explain(ctx context.Context, g *site.Generation, number uint64, q ExplainRequest) (Explanation, error) {
	at, err := s.complete(g, &q)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Outcome: middleware.Outcome{Port: q.Port, Method: q.Method, Path: q.Path, Generation: number}}
	conn, err := connstate.Simulate(ctx, s.ports[at], connstate.Client{Certificates: q.Certificates, ServerName: q.ServerName})
	if err != nil {
		refusal, ok := errors.AsType[*reason.Refusal](err)
		if !ok {
			return Explanation{}, err
		}
		x.Refused, x.Reason, x.Detail = true, refusal.Reason, refusal.Detail
		return x, nil
	}
	port := &g.Ports[at]
	guard, reached := s.guardOf(port), false
	sent := &q
	if port.Decision != nil {
		sent = q.asQuestion(port.Guard.ForwardAuth)
	}
	request := serveonce.Request{Method: sent.Method, Path: sent.Path, Host: sent.Host, ServerName: sent.ServerName, Header: sent.Header}
	status, err := serveonce.Do(ctx, s.ports[at], conn, request, func(r *http.Request) {
		reached = true
		x.Outcome = guard.Check(r)
		x.Steps = guard.Explain(x.Outcome)
	})
	switch {
	case err != nil:
		return Explanation{}, err
	case !reached:
		x.Unread, x.Status, x.Detail = true, status, "net/http rejects the request: "+http.StatusText(status)
		return x, nil
	case !port.Authorizes():
		return x, nil // the inner server maps and decides
	}
	if !x.Verified.IsZero() && s.options.Map == nil {
		x.Mapping = g.Table.Explain(x.Verified, q.Port)
	}
	if x.Identity != nil && s.options.Policy == nil {
		explained := g.Engine.Explain(policy.Request{User: x.Identity.User, Port: q.Port, Method: x.Method, Path: x.Path})
		x.Policy = &explained
	}
	x.Quotas = guard.Quotas(x.Outcome)
	return x, nil
}

// nearestMapping describes the mapping that comes nearest to a certificate that has no user on
// a port.
func (s *Server) nearestMapping(v trust.Verified, port string) string {
	step, ok := s.currentGeneration().Table.Nearest(v, port)
	if !ok {
		return ""
	}
	where := (&configerror.Error{File: step.File, Line: step.Line}).Position()
	if where != "" {
		where += ": "
	}
	return where + step.String()
}

// complete checks a request, fills in its defaults, and returns the index of its port.
func (s *Server) complete(g *site.Generation, q *ExplainRequest) (int, error) {
	var wrong errorlist.List
	at := -1
	var names []string
	for i := range g.Ports {
		if p := &g.Ports[i]; s.guardOf(p) != nil {
			names = append(names, p.Config.Name)
			if p.Config.Name == q.Port {
				at = i
			}
		}
	}
	if t := g.Tunnel; t != nil && t.Config.Name == q.Port {
		wrong.Add(configerror.Error{What: fmt.Sprintf("port %q represents the tunnels to gateways, which have no handshake to explain", q.Port), Hint: "use a port with the same rules"})
		return at, wrong.Err()
	}
	if at < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("there is no port %q", q.Port), Hint: "use one of " + strings.Join(names, ", ")})
		return at, wrong.Err()
	}
	if q.Method == "" {
		q.Method = http.MethodGet
	}
	if q.Path == "" {
		q.Path = "/"
	}
	if q.Host == "" {
		q.Host = "localhost"
		if served := g.Ports[at].Guard.ServerNames; len(served) > 0 {
			q.Host = served[0]
		}
	}
	if host, _, err := net.SplitHostPort(q.Host); q.ServerName == "" && err == nil {
		q.ServerName = host
	} else if q.ServerName == "" {
		q.ServerName = q.Host
	}
	if net.ParseIP(q.ServerName) != nil {
		q.ServerName = "" // a client sends no name for an address (RFC 6066 section 3)
	}
	for _, text := range []struct{ name, value string }{{"method", q.Method}, {"path", q.Path}, {"host", q.Host}} {
		if strings.ContainsAny(text.value, "\r\n") {
			wrong.Add(configerror.Error{What: fmt.Sprintf("the %s %q has more than one line", text.name, text.value), Hint: "remove the line end"})
		}
	}
	return at, wrong.Err()
}

// asQuestion returns the request by which a gateway asks about q. Header holds what the gateway
// forwards.
func (q *ExplainRequest) asQuestion(f *middleware.ForwardAuth) *ExplainRequest {
	out := *q
	out.Method, out.Path, out.Header = http.MethodGet, "/", q.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	out.Header.Set(f.Method, q.Method)
	out.Header.Set(f.Target, q.Path)
	if f.Host != "" {
		out.Header.Set(f.Host, q.Host)
	}
	return &out
}

// ExplainUser returns what the current policy decides about a request of a user, whatever
// certificate the user has. It neither verifies nor maps anything: see Explain. The error is a
// port without users, or Options.Policy, which has nothing to explain.
func (s *Server) ExplainUser(user, port, method, path string) (policy.Explanation, error) {
	if s.options.Policy != nil {
		return policy.Explanation{}, &configerror.Error{What: "the policy is the program's own, not a file", Hint: "explain a request with its certificate"}
	}
	g := s.currentGeneration()
	for _, p := range g.AllPorts() {
		if p.Config.Name == port && p.Authorizes() {
			return g.Engine.Explain(policy.Request{User: user, Port: port, Method: method, Path: path}), nil
		}
	}
	return policy.Explanation{}, &configerror.Error{What: fmt.Sprintf("there is no port %q that identifies users", port), Hint: "use the name of another port"}
}
