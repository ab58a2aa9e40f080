package mtlsguard

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Question is a request that nobody has sent: what would the server say to it?
type ExplainRequest struct {
	Port         string              // a port of the configuration
	Method       string              // empty is GET
	Path         string              // the target as it would be sent, "/orders/7?all=1"; empty is /
	Host         string              // empty is a name that the port serves
	ServerName   string              // SNI; empty is Host, where that is a name
	Certificates []*x509.Certificate // what the client presents, leaf first; none is nobody
	Header       http.Header         // what else is sent: what a gateway states, or credentials
}

// Explanation is what the server would say to a Question, and why. It names users,
// mappings and rules: it is for those who run the service.
type Explanation struct {
	// Outcome is the guard's. Where no request comes to the guard, it holds the
	// refusal alone.
	middleware.Outcome
	// Refused is the handshake that the port would refuse: there is no connection, and
	// no status.
	Refused bool
	// Unread is a request that net/http refuses by itself, with Status and no reason:
	// the guard never sees it.
	Unread  bool
	Mapping []certmap.Step      // what became of each mapping; nil where no certificate is believed
	Policy  *policy.Explanation // nil where the policy is not asked
	Steps   []string            // the guard's own words, as Options.Debug sends them
}

// Explain answers a question as the server in force would, to a request in HTTP/1.1.
// The handshake's checks, net/http's reading of the request and the guard are the very
// code that serves. What it leaves out is what depends on more than the question:
// limits, deadlines, and whether the client has the key. An OCSP responder is asked,
// as it would be in a handshake.
//
// The error is a mistake of the question. Nothing is logged or counted. It waits for
// a reload that is under way.
func (s *Server) Explain(ctx context.Context, q ExplainRequest) (Explanation, error) {
	s.reloading.Lock() // mappings and rules below are those that the guard decides by
	defer s.reloading.Unlock()
	g := s.current
	at, err := s.find(g, &q)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{Outcome: middleware.Outcome{Port: q.Port, Method: q.Method, Path: q.Path, Generation: s.number.Load()}}
	conn, err := s.ports[at].Simulate(ctx, connstate.Client{Certificates: q.Certificates, ServerName: q.ServerName})
	if err != nil {
		refusal, ok := errors.AsType[*reason.Refusal](err)
		if !ok {
			return Explanation{}, err
		}
		x.Refused, x.Reason, x.Detail = true, refusal.Reason, refusal.Detail
		return x, nil
	}
	port := &g.Ports[at]
	guard, asked := s.checker(port), false
	status, err := serveOnce(ctx, s.ports[at], conn, &q, func(r *http.Request) {
		asked = true
		x.Outcome = guard.Check(r)
		x.Steps = guard.Explain(x.Outcome)
	})
	switch {
	case err != nil:
		return Explanation{}, err
	case !asked:
		x.Unread, x.Status, x.Detail = true, status, "net/http answers by itself: "+http.StatusText(status)
		return x, nil
	case !port.Authorizes():
		return x, nil // the server inside maps and decides
	}
	if !x.Verified.IsZero() {
		x.Mapping = g.Table.Explain(x.Verified, q.Port)
	}
	if x.Identity != nil {
		explained := g.Engine.Explain(policy.Request{User: x.Identity.User, Port: q.Port, Method: x.Method, Path: x.Path})
		x.Policy = &explained
	}
	return x, nil
}

// find checks a question, fills in what it leaves out, and finds its port.
func (s *Server) find(g *site.Generation, q *ExplainRequest) (int, error) {
	var wrong errorlist.List
	at := -1
	var names []string
	for i := range g.Ports {
		if p := &g.Ports[i]; s.checker(p) != nil {
			names = append(names, p.Config.Name)
			if p.Config.Name == q.Port {
				at = i
			}
		}
	}
	if t := g.Tunnel; t != nil && t.Config.Name == q.Port {
		wrong.Add(configerror.Error{What: fmt.Sprintf("%q is for callers of a gateway: without one there is no handshake to explain", q.Port), Hint: "ask about a port with the same rules"})
		return at, wrong.Err()
	}
	if at < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("there is no port %q", q.Port), Hint: "one of " + strings.Join(names, ", ")})
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
			wrong.Add(configerror.Error{What: fmt.Sprintf("the %s %q has more than one line", text.name, text.value), Hint: "one question is one request"})
		}
	}
	return at, wrong.Err()
}

// serveOnce sends a question through an http.Server that the port has configured, and
// returns the status of the answer. The request comes by a pipe, and as if it had come
// by the connection that conn stands for.
func serveOnce(ctx context.Context, p *ports.Port, conn context.Context, q *ExplainRequest, ask func(*http.Request)) (int, error) {
	inner, outer := net.Pipe()
	defer outer.Close()
	stop := context.AfterFunc(ctx, func() { outer.Close() })
	defer stop()
	srv := &http.Server{
		ErrorLog:    log.New(io.Discard, "", 0),
		ConnContext: func(context.Context, net.Conn) context.Context { return conn },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: q.ServerName}
			ask(r)
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	p.Configure(srv)
	l := chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	defer func() {
		srv.Close()
		outer.Close()
		<-served
	}()
	if err := l.Hand(ctx, inner); err != nil {
		return 0, err
	}

	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Path, q.Host)
	_ = q.Header.WriteSubset(&request, map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true})
	request.WriteString("\r\n")
	go func() { _, _ = request.WriteTo(outer) }() // net/http may answer before it has read all
	response, err := http.ReadResponse(bufio.NewReader(outer), nil)
	if err != nil {
		return 0, fmt.Errorf("mtlsguard: the question was not answered: %w", err)
	}
	return response.StatusCode, nil
}
