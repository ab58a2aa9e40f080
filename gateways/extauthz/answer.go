package extauthz

import (
	"net/http"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoy "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/mtlsguard/mtlsguard/internal/idheader"
)

// userHeaders are the headers of an allowed request.
var userHeaders = []string{"X-Mtlsguard-User", "X-Mtlsguard-Groups", "X-Mtlsguard-Mapping"}

// answer is the guard's answer to a question.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write discards the body: an answer to a question has none.
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return len(b), nil
}

// response returns the answer in Envoy's form.
func (a *answer) response(client *auth.AttributeContext_HttpRequest) *auth.CheckResponse {
	// Fail closed: 200 without a user comes from a port that serves, and decided about the call itself.
	if a.status == http.StatusOK && a.header.Get(userHeaders[0]) != "" {
		return a.allowed(client)
	}
	return a.denied()
}

// allowed returns an answer that replaces the client's own headers with a user.
func (a *answer) allowed(client *auth.AttributeContext_HttpRequest) *auth.CheckResponse {
	ok := &auth.OkHttpResponse{HeadersToRemove: identityHeaders(client)}
	for _, name := range userHeaders {
		if value := a.header.Get(name); value != "" {
			ok.Headers = append(ok.Headers, option(name, value))
		} else {
			ok.HeadersToRemove = append(ok.HeadersToRemove, strings.ToLower(name)) // Envoy sets no empty header
		}
	}
	return &auth.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}, HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: ok}}
}

// denied returns a refusal with the status and the headers of the guard's answer.
func (a *answer) denied() *auth.CheckResponse {
	code := a.status
	if _, known := envoy.StatusCode_name[int32(code)]; !known || code < 400 {
		code = http.StatusServiceUnavailable // fail closed: nothing was decided
	}
	refused := &auth.DeniedHttpResponse{Status: &envoy.HttpStatus{Code: envoy.StatusCode(code)}}
	for name, values := range a.header {
		if name == "Content-Length" || name == "Vary" || name == "Connection" {
			continue // of the question
		}
		for _, value := range values {
			refused.Headers = append(refused.Headers, option(name, value))
		}
	}
	slices.SortFunc(refused.Headers, func(a, b *core.HeaderValueOption) int { return strings.Compare(a.Header.Key, b.Header.Key) })
	return &auth.CheckResponse{
		Status:       &status.Status{Code: int32(grpcCode(code)), Message: a.header.Get("X-Mtlsguard-Reason")},
		HttpResponse: &auth.CheckResponse_DeniedResponse{DeniedResponse: refused},
	}
}

func option(name, value string) *core.HeaderValueOption {
	return &core.HeaderValueOption{
		Header:       &core.HeaderValue{Key: strings.ToLower(name), Value: value},
		AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// identityHeaders returns the headers of the client that name a caller, in every spelling, but
// for those that the answer replaces.
func identityHeaders(client *auth.AttributeContext_HttpRequest) (out []string) {
	names := func(name string) {
		if idheader.Is(name) && !slices.ContainsFunc(userHeaders, func(own string) bool { return strings.EqualFold(own, name) }) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for name := range client.GetHeaders() {
		names(name)
	}
	for _, h := range client.GetHeaderMap().GetHeaders() {
		names(h.GetKey())
	}
	slices.Sort(out)
	return out
}

// grpcCode returns the code for a status of HTTP. Envoy takes every code but OK for a refusal.
func grpcCode(status int) codes.Code {
	switch {
	case status == http.StatusUnauthorized:
		return codes.Unauthenticated
	case status == http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case status >= 500:
		return codes.Unavailable
	}
	return codes.PermissionDenied
}
