package reverse

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// streamHeader has what the gateway sends with a stream beside the certificate. A field is
// "" if its header is missing or repeated.
type streamHeader struct {
	kind, caller, remote, serverName, service, upgrade string
}

func readStreamHeader(h http.Header) (s streamHeader) {
	s.kind, _ = wire.SingleValue(h, wire.HeaderKind)
	s.caller, _ = wire.SingleValue(h, wire.HeaderCaller)
	s.remote, _ = wire.SingleValue(h, wire.HeaderRemote)
	s.serverName, _ = wire.SingleValue(h, wire.HeaderServerName)
	s.service, _ = wire.SingleValue(h, wire.HeaderService)
	s.upgrade, _ = wire.SingleValue(h, wire.HeaderUpgrade)
	return s
}

// deleteIdentityHeaders deletes every identity header in every spelling.
func deleteIdentityHeaders(h http.Header) {
	for name := range h {
		if idheader.Is(name) {
			delete(h, name)
		}
	}
}

// dispatch serves the streams that a gateway opens: the control stream, requests, and
// connections that are carried end to end.
func (s *Server) dispatch(w http.ResponseWriter, r *http.Request) {
	t, ok := r.Context().Value(serverTunnelKey{}).(*serverTunnel)
	if !ok {
		w.WriteHeader(http.StatusMisdirectedRequest) // fail closed; ConnContext always sets it
		return
	}
	header := readStreamHeader(r.Header)
	key := callerKeyOf(r.Header, header.remote)
	raw := s.receiver.Load().Read(r.Header, r.Trailer)
	deleteIdentityHeaders(r.Header)
	deleteIdentityHeaders(r.Trailer)
	switch header.kind {
	case wire.KindControl:
		t.serveControl(w, r)
	case wire.KindStream, wire.KindRequest, wire.KindUpgrade:
		end, err := s.beginHandler(r.Context(), t, key)
		if err != nil {
			s.answerBusy(w, r, &header, err)
			return
		}
		defer end()
		if header.kind != wire.KindStream {
			s.serveRequest(w, r, t, &header, raw)
		} else if l := s.streams.Load(); l != nil {
			l.serve(w, r, header.remote)
		} else {
			w.WriteHeader(http.StatusNotFound)
		}
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// serveRequest calls the handler with the request as the client sent it.
func (s *Server) serveRequest(w http.ResponseWriter, r *http.Request, t *serverTunnel, header *streamHeader, raw forwarded.RawCertificate) {
	gateway := *t.gateway.Load()
	caller := &forwardedCaller{server: s, header: header.caller, raw: raw}
	work := &answerWork{server: s, caller: caller, w: w}
	defer work.end()
	ctx := tunnel.NewContext(r.Context(), &tunnel.Caller{
		Port: s.config.Name, ServerName: header.serverName, Gateway: gateway, Verify: work.verify,
	})
	ctx = context.WithValue(ctx, hopKey{}, &Hop{
		Gateway: gateway, GatewayAddr: t.addr, Service: header.service, Remote: header.remote, ServerName: header.serverName,
	})
	in := r.WithContext(ctx)
	defer func() { r.MultipartForm = in.MultipartForm }() // net/http removes its files
	in.RemoteAddr = header.remote
	writer := tunnelWriter{ResponseWriter: w, request: in, onError: func(err error) {
		s.report(Event{Kind: Failed, Services: s.config.Services, Remote: header.remote, Err: err})
	}}
	if header.kind == wire.KindRequest {
		s.config.Handler.ServeHTTP(&writer, in)
		writer.finish()
		return
	}
	if !wire.ValidName(header.upgrade) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// The stream is a POST; the client's request is a GET of HTTP/1.1.
	in.Method, in.Body, in.ContentLength = http.MethodGet, http.NoBody, 0
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.Header["Connection"], in.Header["Upgrade"] = []string{"Upgrade"}, []string{header.upgrade}
	h := &hijackWriter{tunnelWriter: writer, stream: r, caller: caller, server: s, remote: remoteAddr(header.remote)}
	defer h.wait()
	s.config.Handler.ServeHTTP(h, in)
	h.finish()
}

// remoteAddr returns the client's address, or tunnelAddr if the gateway sent none.
func remoteAddr(text string) net.Addr {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return tunnelAddr{}
}
