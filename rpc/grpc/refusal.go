package guardgrpc

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/internal/problem"
)

// refusal is the answer to a refused call, as the guard writes it. Only its header counts.
type refusal struct {
	header http.Header
	code   int // HTTP status; 0: nothing was written
}

// Header implements http.ResponseWriter.
func (r *refusal) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// WriteHeader implements http.ResponseWriter.
func (r *refusal) WriteHeader(code int) {
	if r.code == 0 && code >= 200 {
		r.code = code
	}
}

// Write implements http.ResponseWriter.
func (r *refusal) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return len(p), nil
}

// err returns the status of the refusal. An answer that is not gRPC's is of the program's own
// middleware.Config.Refuse: its HTTP status counts, and never makes the refusal a success.
func (r *refusal) err() error {
	if n, err := strconv.ParseUint(r.header.Get("Grpc-Status"), 10, 32); err == nil && n != 0 {
		message, err := url.PathUnescape(r.header.Get("Grpc-Message"))
		if err != nil {
			message = r.header.Get("Grpc-Message")
		}
		return status.Error(codes.Code(n), message)
	}
	text := http.StatusText(r.code)
	if r.code < 400 {
		text = "the call is refused"
	}
	return status.Error(codes.Code(problem.GRPCCode(r.code)), text)
}

// setTrailer sends the headers of the answer that a gRPC client can use. RateLimit and
// RateLimit-Policy must not be trailers (draft-ietf-httpapi-ratelimit-headers-11 section 3.1).
func (r *refusal) setTrailer(ctx context.Context) {
	for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
		if values := r.header.Values(name); len(values) > 0 {
			md := metadata.MD{}
			md.Append(name, values...)
			_ = grpc.SetTrailer(ctx, md) // the status is what counts
		}
	}
}
