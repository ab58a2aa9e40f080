package reverse

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// stated is what a gateway says of one exchange beside the certificate. An empty field
// was not said, or not once.
type stated struct {
	kind, caller, remote, sni, service, upgrade string
}

func takeStated(h http.Header) (s stated) {
	s.kind, _ = single(h, headerKind)
	s.caller, _ = single(h, headerCaller)
	s.remote, _ = single(h, headerRemote)
	s.sni, _ = single(h, headerSNI)
	s.service, _ = single(h, headerService)
	s.upgrade, _ = single(h, headerUpgrade)
	return s
}

// clean deletes every header that says who somebody is, in every spelling.
func clean(h http.Header) {
	for name := range h {
		if idheader.Is(name) {
			delete(h, name)
		}
	}
}

// arrive takes what the gateway sends: the control exchange, connections, requests.
func (s *Server) arrive(w http.ResponseWriter, r *http.Request) {
	link, ok := r.Context().Value(linkKey{}).(*serverEnd)
	if !ok {
		w.WriteHeader(http.StatusMisdirectedRequest) // fail closed: this cannot be
		return
	}
	says := takeStated(r.Header)
	caller := statedCallerOf(r.Header, says.remote)
	statement := s.receiver.Load().Read(r.Header, r.Trailer)
	clean(r.Header)
	clean(r.Trailer)
	switch says.kind {
	case kindControl:
		link.converse(w, r)
	case kindStream, kindRequest, kindUpgrade:
		give, err := s.admit(r.Context(), link, caller)
		if err != nil {
			s.refuseBusy(w, &says, err)
			return
		}
		defer give()
		if says.kind != kindStream {
			s.serve(w, r, link, &says, statement)
		} else if l := s.streams.Load(); l != nil {
			l.serve(w, r, says.remote)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// serve hands a request to the handler as if its caller had come itself.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, link *serverEnd, says *stated, statement forwarded.RawCertificate) {
	gateway := *link.gateway.Load()
	caller := &caller{server: s, header: says.caller, statement: statement}
	watch := &watchedAnswer{server: s, caller: caller, w: w}
	defer watch.done()
	ctx := tunnel.NewContext(r.Context(), &tunnel.Caller{
		Port: s.config.Name, ServerName: says.sni, Gateway: gateway, Verify: watch.verify,
	})
	ctx = context.WithValue(ctx, hopKey{}, &Hop{
		Gateway: gateway, GatewayAddr: link.addr, Service: says.service, Remote: says.remote, ServerName: says.sni,
	})
	own := r.WithContext(ctx)
	defer func() { r.MultipartForm = own.MultipartForm }() // net/http removes its files
	own.RemoteAddr = says.remote
	answer := steady{ResponseWriter: w, failed: func(err error) {
		s.observe(Event{Kind: Failed, Services: s.config.Services, Remote: says.remote, Err: err})
	}}
	if says.kind == kindRequest {
		s.config.Handler.ServeHTTP(&answer, own)
		answer.finish()
		return
	}
	if !validName(says.upgrade) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var remote net.Addr = tunnelAddr{}
	if a, err := netip.ParseAddrPort(says.remote); err == nil {
		remote = net.TCPAddrFromAddrPort(a)
	}
	// The request as the client sent it: the stream's own is how it travels.
	own.Method, own.Body, own.ContentLength = http.MethodGet, http.NoBody, 0
	own.Proto, own.ProtoMajor, own.ProtoMinor = "HTTP/1.1", 1, 1
	own.Header["Connection"], own.Header["Upgrade"] = []string{"Upgrade"}, []string{says.upgrade}
	h := &hijacker{steady: answer, r: r, caller: caller, server: s, remote: remote}
	defer h.wait()
	s.config.Handler.ServeHTTP(h, own)
	h.finish()
}

// verify judges what the gateway states. That there is no certificate must be said:
// a statement that got lost is not one of nothing.
func verify(ctx context.Context, receiver *forwarded.Receiver, caller string, s forwarded.RawCertificate, wait bool) (trust.Verified, error) {
	verified, err := receiver.VerifyLocal(s)
	if err == trustaccess.ErrUndecided {
		if !wait {
			return trust.Verified{}, err
		}
		verified, err = receiver.Verify(ctx, s)
	}
	none := isNone(err)
	switch {
	case caller == callerCertificate && !none:
		return verified, err
	case caller == callerNone && none:
		return trust.Verified{}, err
	case err != nil && !none:
		return trust.Verified{}, err
	}
	return trust.Verified{}, reason.Refuse(reason.BadHeader, "the gateway states neither a certificate nor that there is none")
}

// steady keeps an answer from ending the tunnel, which is others' too. In HTTP/2 net/http
// reads "Connection: close" as a wish to end the whole connection, and a head that is too
// long is an error of the whole connection at its other end.
type steady struct {
	http.ResponseWriter
	failed func(error)
	begun  bool
	err    error // why nothing of the handler's answer is sent
}

// cleanHead removes from the head what would end the tunnel.
func (s *steady) cleanHead() {
	h := s.Header()
	delete(h, "Connection")
	delete(h, headerKind)
}

// begin begins the final answer. A head that is too long is answered by 502 in its place.
func (s *steady) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.cleanHead()
	if h := s.Header(); headSize(h) > mostHead {
		s.err = errAnswerHead
		s.failed(s.err)
		clear(h)
		fail(s.ResponseWriter, http.StatusBadGateway)
	}
}

// finish is called when the handler has returned: net/http answers for a handler that
// has not, with the headers that it has set. Trailers that are too long end the stream:
// an answer without them would not be the whole one.
func (s *steady) finish() {
	s.begin()
	if h := s.Header(); s.err == nil && trailerSize(h) > mostHead {
		s.failed(errAnswerHead)
		panic(http.ErrAbortHandler)
	}
}

func (s *steady) WriteHeader(status int) {
	if status < http.StatusOK {
		s.cleanHead()
		if headSize(s.Header()) > mostHead {
			return // a hint that is too long is none
		}
	} else {
		s.begin()
	}
	if s.err == nil {
		s.ResponseWriter.WriteHeader(status)
	}
}

func (s *steady) Write(b []byte) (int, error) {
	s.begin()
	if s.err != nil {
		return 0, s.err
	}
	return s.ResponseWriter.Write(b)
}

// Flush implements http.Flusher.
func (s *steady) Flush() { _ = s.FlushError() }

// FlushError is for http.ResponseController.
func (s *steady) FlushError() error {
	s.begin()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (s *steady) Unwrap() http.ResponseWriter { return s.ResponseWriter }
