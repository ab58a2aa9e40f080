package extauthz_test

import (
	"net/http"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/mtlsguard/mtlsguard/gateways/extauthz"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
)

// passwords knows one password.
type passwords struct{}

const right = "Y2Fyb2w6c2VjcmV0"

func (passwords) Authenticate(r *http.Request) (string, error) {
	switch r.Header.Get("Authorization") {
	case "":
		return "", nil
	case "Basic " + right:
		return "carol", nil
	}
	return "", &middleware.CredentialsError{}
}

// raw returns a change that sends headers as Envoy does with encode_raw_headers.
func raw(fields ...string) func(*auth.CheckRequest) {
	return func(in *auth.CheckRequest) {
		http := in.Attributes.Request.Http
		http.Headers, http.HeaderMap = nil, &core.HeaderMap{}
		for i := 0; i < len(fields); i += 2 {
			http.HeaderMap.Headers = append(http.HeaderMap.Headers, &core.HeaderValue{Key: fields[i], RawValue: []byte(fields[i+1])})
		}
	}
}

// Credentials are in the question in both forms of headers. Otherwise wrong ones would be none, and
// their sender the user Default where strict is off.
func TestCredentialsAreInTheQuestion(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *middleware.Config, _ *extauthz.Config) {
		p := c.PerPort["ask"]
		p.Fallback, p.Authenticators = middleware.ToDefault, []middleware.Authenticator{passwords{}}
		c.PerPort["ask"] = p
		c.Policy = must[*policy.Engine](t)(policy.Load("policy.csv", strings.NewReader("p, group:Everybody, *, GET, /*, allow\n")))
	})
	envoy := s.envoy(t, s.ask, s.gateway)
	for name, row := range map[string]struct {
		change func(*auth.CheckRequest)
		want   string
	}{
		"none":       {func(*auth.CheckRequest) {}, "OK Default Anonymous,Everybody "},
		"right":      {func(in *auth.CheckRequest) { in.Attributes.Request.Http.Headers["authorization"] = "Basic " + right }, "OK carol Authenticated,Everybody "},
		"wrong":      {func(in *auth.CheckRequest) { in.Attributes.Request.Http.Headers["authorization"] = "Basic QQ==" }, "401 bad-credentials"},
		"right, raw": {raw("authorization", "Basic "+right), "OK carol Authenticated,Everybody "},
		"wrong, raw": {raw("Authorization", "Basic QQ=="), "401 bad-credentials"},
		"twice, raw": {raw("authorization", "Basic "+right, "authorization", "Basic "+right), "OK carol Authenticated,Everybody "},
	} {
		in := call(nil, "GET", "/orders/7")
		row.change(in)
		if got := decision(envoy.Check(t.Context(), in)); got != row.want {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
	}
}
