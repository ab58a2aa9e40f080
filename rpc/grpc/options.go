package guardgrpc

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/mtlsguard/mtlsguard/internal/rpccall"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// ServerOptions returns the options that put guard in front of every call of a grpc.Server: the
// credentials, the interceptors for unary calls and for streams, which are the outermost, and the
// ports' limits for streams, headers and the client's first message. Other options may follow; but
// not those that grpc allows only once: add further interceptors with grpc.ChainUnaryInterceptor
// and grpc.ChainStreamInterceptor.
//
// A server whose options are wrong, such as one without a guard, refuses every call, and logs
// why.
func ServerOptions(guard *middleware.Guard, creds *TransportCredentials) []grpc.ServerOption {
	p := newPair(guard, creds)
	options := []grpc.ServerOption{
		grpc.InTapHandle(p.tap), grpc.UnaryInterceptor(p.unary), grpc.StreamInterceptor(p.stream),
		grpc.UnknownServiceHandler(unknownMethod), // grpc's own answer comes before the interceptors
	}
	if creds == nil {
		return options
	}
	streams, headers, first := uint32(math.MaxUint32), uint32(math.MaxUint32), time.Duration(math.MaxInt64)
	for _, port := range creds.ports {
		l := port.Config().Limits
		streams, headers, first = min(streams, uint32(l.Streams)), min(headers, uint32(l.HeaderBytes)), min(first, l.Headers)
		p.firstMessage = min(p.firstMessage, l.Idle)
	}
	return append(options, grpc.Creds(&TransportCredentials{ports: creds.ports, pair: p, reject: creds.reject, log: creds.log}),
		grpc.MaxConcurrentStreams(streams), grpc.MaxHeaderListSize(headers), grpc.ConnectionTimeout(first))
}

// pair holds the options of one server together: a call is let through to the guard if both
// its connection and its interceptor are of the same pair.
type pair struct {
	handler      http.Handler
	wrong        error         // why every call is refused; nil: it is not
	firstMessage time.Duration // for the first message of a unary call
}

func newPair(guard *middleware.Guard, creds *TransportCredentials) *pair {
	p := &pair{firstMessage: time.Minute}
	switch {
	case guard == nil:
		guard, p.wrong = &middleware.Guard{}, errors.New("guardgrpc: every call is refused: the guard that ServerOptions got is nil")
	case creds != nil && len(creds.ports) == 0:
		p.wrong = errors.New("guardgrpc: every call is refused: the credentials have no port: pass one to Credentials")
	}
	p.handler = rpccall.Handler(guard, http.HandlerFunc(serveCall))
	if c, ok := p.handler.(interface{ CheckPorts(...*ports.Port) error }); ok && p.wrong == nil && creds != nil {
		p.wrong = c.CheckPorts(creds.ports...)
	}
	if creds == nil && p.wrong == nil {
		p.wrong = errors.New("guardgrpc: every call is refused: the options have no credentials: pass Credentials(port) to ServerOptions")
	}
	if p.wrong != nil {
		slog.Error(p.wrong.Error())
	}
	return p
}

// tap makes the context in which a call can be ended. It must not wait: the other calls of the
// connection wait for it.
func (p *pair) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	return newCall(ctx, p), nil
}

func (p *pair) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	var res any
	err := p.serve(ctx, info.FullMethod, false, func(ctx context.Context, _ *call) (err error) {
		res, err = handler(ctx, req)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (p *pair) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return p.serve(ss.Context(), info.FullMethod, true, func(ctx context.Context, c *call) error {
		return handler(srv, &stream{ServerStream: ss, ctx: ctx, call: c})
	})
}

// serve passes a call through the guard to run.
func (p *pair) serve(ctx context.Context, method string, streams bool, run func(context.Context, *call) error) error {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok || c.pair != p {
		c = newCall(ctx, p) // fail closed: it has no connection
	} else if from, ok := peer.FromContext(ctx); ok {
		if info, ok := from.AuthInfo.(*authInfo); ok && info.pair == p {
			c.info = info
		}
	}
	c.begin(ctx, method, streams)
	c.run = run
	p.handler.ServeHTTP(c, c.Request(ctx))
	return c.result(ctx)
}

// unknownMethod answers a call of a method that the server does not have, once the guard has
// let it through: a caller without a rule does not learn what the server has.
func unknownMethod(_ any, ss grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(ss)
	return status.Errorf(codes.Unimplemented, "the server has no method %s", method)
}
