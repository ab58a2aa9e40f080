package extauthz

import (
	"context"
	"errors"
	"net/http"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Config names the port that Envoy asks. The port's configuration has the same headers, and forwarded
// certificates in Envoy's format.
type Config struct {
	Port     string                 // the name of the port
	Question middleware.ForwardAuth // the headers in its answer: {decision: …}
}

// Bounds of a call. A CheckRequest holds the headers of a request, of which Envoy accepts 60 KiB, and
// one certificate.
const (
	maxCall  = 256 << 10
	callTime = 5 * time.Second
)

// check is the path of the one method.
const check = auth.Authorization_Check_FullMethodName

// Handler returns a handler for all ports of guarded, which has to be the handler of a guard, such
// as that of mtlsguard.Server.Handler. Calls of Envoy on the port of the Config are answered by
// it; every other request goes to guarded as it is. A call with more than 256 KiB is refused, and
// so is one that takes longer than 5 s to arrive. The handler is safe for concurrent use.
func Handler(guarded http.Handler, c Config) (http.Handler, error) {
	if guarded == nil {
		return nil, errors.New("extauthz: there is no guarded handler: pass that of mtlsguard.Server.Handler or of middleware.Guard.Handler")
	}
	if c.Port == "" {
		return nil, errors.New("extauthz: Config.Port is empty: name the port that Envoy asks")
	}
	if c.Question.Method == "" || c.Question.Target == "" {
		return nil, errors.New("extauthz: Config.Question has no Method or no Target: use the headers of answer: {decision: …} on port " + c.Port)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(maxCall))
	auth.RegisterAuthorizationServer(server, &service{guarded: guarded, question: c.Question})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, ok := ports.FromContext(r.Context())
		if !ok || conn.Port().Name() != c.Port || r.ProtoMajor != 2 || r.URL.Path != check {
			guarded.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(callTime)) // of this stream
		server.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, r)))
	}), nil
}

// callKey is the key of the request of HTTP that a call is.
type callKey struct{}

// service answers the calls.
type service struct {
	auth.UnimplementedAuthorizationServer
	guarded  http.Handler
	question middleware.ForwardAuth
}

// Check implements auth.AuthorizationServer.
func (s *service) Check(ctx context.Context, in *auth.CheckRequest) (out *auth.CheckResponse, err error) {
	defer func() {
		if p := recover(); p != nil { // grpc would end the process
			out, err = nil, status.Error(codes.Internal, "deciding about the request panicked")
		}
	}()
	call, ok := ctx.Value(callKey{}).(*http.Request)
	if !ok {
		return nil, status.Error(codes.Internal, "the call did not come through Handler") // fail closed
	}
	q, why := s.ask(call.WithContext(ctx), in.GetAttributes())
	if why != "" {
		q.Header = http.Header{} // the guard refuses a question without headers, counts it and logs it
	}
	a := answer{header: http.Header{}}
	s.guarded.ServeHTTP(&a, q)
	if why != "" {
		return nil, status.Error(codes.InvalidArgument, why)
	}
	return a.response(in.GetAttributes().GetRequest().GetHttp()), nil
}
