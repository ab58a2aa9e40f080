package extauthz_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/gateways/extauthz"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func must[T any](tb testing.TB) func(T, error) T {
	return func(v T, err error) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

var headers = middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI", Host: "X-Original-Host"}

const gatewayName = "envoy.acme.example"

// site is a port that Envoy asks, and one that serves.
type site struct {
	ca, gatewayCA, serverCA      *testpki.Pair
	alice, bob, gateway, another *testpki.Pair
	ask, serving                 *ports.Port
	outcomes                     chan middleware.Outcome
}

const rules = `p, user:alice, ask, GET|POST, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
p, group:Everybody, serving, *, /*, allow
g, user:alice, group:staff
`

func newSite(t *testing.T, change ...func(*middleware.Config, *extauthz.Config)) *site {
	t.Helper()
	s := &site{ca: testpki.NewCA("Client CA"), gatewayCA: testpki.NewCA("Gateway CA"), serverCA: testpki.NewCA("Server CA"), outcomes: make(chan middleware.Outcome, 1000)}
	s.alice, s.bob = s.ca.Leaf("alice"), s.ca.Leaf("bob")
	named := func(name string) testpki.Option { return func(c *x509.Certificate) { c.DNSNames = []string{name} } }
	s.gateway, s.another = s.gatewayCA.Leaf("envoy", named(gatewayName)), s.gatewayCA.Leaf("other", named("other.acme.example"))
	own := s.serverCA.Server().TLS()
	verifier := func(anchors ...*testpki.Pair) *trust.Verifier {
		var c trust.Config
		for _, a := range anchors {
			c.Anchors = append(c.Anchors, a.Cert)
		}
		return must[*trust.Verifier](t)(trust.New(c))
	}
	port := func(name string) *ports.Port {
		return must[*ports.Port](t)(ports.New(ports.Config{
			Name: name, Addr: "127.0.0.1:0", ClientAuth: ports.Require, Trust: verifier(s.gatewayCA, s.ca),
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil },
		}))
	}
	s.ask, s.serving = port("ask"), port("serving")
	receiver := must[*forwarded.Receiver](t)(forwarded.New(forwarded.Config{
		Topology: forwarded.Envoy(), Users: verifier(s.ca), Gateways: forwarded.Gateways{Names: []string{gatewayName}, Trust: verifier(s.gatewayCA)},
		ClientIP: forwarded.ClientIP{Header: "X-Forwarded-For", Hops: 1},
	}))
	question, config := headers, extauthz.Config{Port: "ask", Question: headers}
	c := middleware.Config{
		Map: must[*certmap.Table](t)(certmap.New(
			certmap.Mapping{ID: "m-alice", User: "alice", Fingerprint: trust.FingerprintOf(s.alice.Cert)},
			certmap.Mapping{ID: "m-bob", User: "bob", Fingerprint: trust.FingerprintOf(s.bob.Cert)},
		)),
		Policy: must[*policy.Engine](t)(policy.Load("policy.csv", strings.NewReader(rules))),
		PerPort: map[string]middleware.PortConfig{
			"ask":     {Forwarded: receiver, ForwardAuth: &question, ServerNames: []string{"api.acme.example"}},
			"serving": {Unmapped: "gateway"},
		},
		Observe: func(_ *http.Request, o middleware.Outcome) { s.outcomes <- o },
	}
	for _, f := range change {
		f(&c, &config)
	}
	guard := must[*middleware.Guard](t)(middleware.New(c))
	handler := must[http.Handler](t)(extauthz.Handler(guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served") })), config))
	for _, p := range []*ports.Port{s.ask, s.serving} {
		l := must[net.Listener](t)(p.Listen(t.Context()))
		server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
		if err := p.Configure(server); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = server.Serve(l) }()
		t.Cleanup(func() { server.Close(); <-ended })
	}
	return s
}

func (s *site) tls(holder *testpki.Pair) *tls.Config {
	return &tls.Config{RootCAs: s.serverCA.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{holder.TLS()}}
}

// envoy returns a client of the port with the certificate of holder.
func (s *site) envoy(t *testing.T, p *ports.Port, holder *testpki.Pair) auth.AuthorizationClient {
	t.Helper()
	c := must[*grpc.ClientConn](t)(grpc.NewClient(p.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(s.tls(holder)))))
	t.Cleanup(func() { c.Close() })
	return auth.NewAuthorizationClient(c)
}

// call returns the call that Envoy makes about a request, with include_peer_certificate.
func call(holder *testpki.Pair, method, path string) *auth.CheckRequest {
	source := &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{Address: "192.0.2.7"}}}}
	if holder != nil {
		source.Principal = holder.Cert.Subject.String()
		source.Certificate = url.PathEscape(string((&testpki.Pair{Cert: holder.Cert}).CertPEM()))
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{Source: source, Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
		Method: method, Path: path, Host: "api.acme.example", Scheme: "https", Protocol: "HTTP/2",
		Headers: map[string]string{":method": method, ":path": path, ":authority": "api.acme.example", "user-agent": "test"},
	}}}}
}

// decision returns an answer as one text.
func decision(out *auth.CheckResponse, err error) string {
	if err != nil {
		return status.Code(err).String()
	}
	values := map[string]string{}
	options := append(out.GetOkResponse().GetHeaders(), out.GetDeniedResponse().GetHeaders()...)
	for _, h := range options {
		if h.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			return "a header that does not replace the client's"
		}
		values[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	if out.GetOkResponse() != nil && out.GetStatus().GetCode() == int32(codes.OK) {
		return strings.Join([]string{"OK", values["x-mtlsguard-user"], values["x-mtlsguard-groups"], values["x-mtlsguard-mapping"]}, " ")
	}
	if out.GetDeniedResponse() == nil || out.GetStatus().GetCode() == int32(codes.OK) || values["x-mtlsguard-user"] != "" || out.GetDeniedResponse().GetBody() != "" {
		return "neither allowed nor denied"
	}
	return fmt.Sprintf("%d %s", out.GetDeniedResponse().GetStatus().GetCode(), values["x-mtlsguard-reason"])
}

// Each row spoils one property of a call that is allowed otherwise.
// Covers E1, E2, E3, E5, E6, E7, E13, F2, F9, F12.
func TestEnvoyAsks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	envoy := s.envoy(t, s.ask, s.gateway)
	http := func(in *auth.CheckRequest) *auth.AttributeContext_HttpRequest { return in.Attributes.Request.Http }
	for name, row := range map[string]struct {
		in     *auth.CheckRequest
		change func(*auth.CheckRequest)
		want   string
	}{
		"allowed":             {call(s.alice, "POST", "/orders/7?x=1"), nil, "OK alice Authenticated,Everybody,staff m-alice"},
		"another method":      {call(s.alice, "DELETE", "/orders/7"), nil, "403 no-rule"},
		"another user":        {call(s.bob, "GET", "/orders/7"), nil, "403 denied"},
		"no certificate":      {call(nil, "GET", "/orders/7"), nil, "403 no-certificate"},
		"unmapped":            {call(s.ca.Leaf("stranger"), "GET", "/orders/7"), nil, "403 unmapped"},
		"untrusted":           {call(testpki.NewCA("Other CA").Leaf("alice"), "GET", "/orders/7"), nil, "403 unknown-authority"},
		"the gateway's":       {call(s.gateway, "GET", "/orders/7"), nil, "403 unknown-authority"},
		"lower case":          {call(s.alice, "get", "/orders/7"), nil, "400 ambiguous-path"},
		"CONNECT":             {call(s.alice, "CONNECT", "api.acme.example:443"), nil, "400 ambiguous-path"},
		"dot segments":        {call(s.alice, "GET", "/orders/../admin"), nil, "400 ambiguous-path"},
		"encoded slash":       {call(s.alice, "GET", "/orders%2f7"), nil, "400 ambiguous-path"},
		"absolute form":       {call(s.alice, "GET", "https://api.acme.example/orders/7"), nil, "400 ambiguous-path"},
		"no slash":            {call(s.alice, "GET", "orders/7"), nil, "400 ambiguous-path"},
		"no path":             {call(s.alice, "GET", ""), nil, "400 bad-header"},
		"no method":           {call(s.alice, "", "/orders/7"), nil, "400 bad-header"},
		"a line end":          {call(s.alice, "GET", "/orders/7\r\nX-Forwarded-Client-Cert: x"), nil, "400 ambiguous-path"},
		"a fragment":          {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { http(in).Fragment = "/../admin" }, "400 ambiguous-path"},
		"another path":        {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { http(in).Headers[":path"] = "/admin" }, "InvalidArgument"},
		"another method, too": {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { http(in).Headers[":method"] = "DELETE" }, "InvalidArgument"},
		"another path, raw":   {call(s.alice, "GET", "/orders/7"), raw(":path", "/admin"), "InvalidArgument"},
		"another method, raw": {call(s.alice, "GET", "/orders/7"), raw(":method", "DELETE"), "InvalidArgument"},
		"the same, raw":       {call(s.alice, "GET", "/orders/7"), raw(":path", "/orders/7"), "OK alice Authenticated,Everybody,staff m-alice"},
		"two credentials":     {call(nil, "GET", "/orders/7"), raw("authorization", "Basic QQ==", "authorization", "Basic Qg=="), "InvalidArgument"},
		"another host": {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) {
			http(in).Host, http(in).Headers[":authority"] = "other.example", "other.example"
		}, "421 misdirected"},
		"no host":    {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { http(in).Host, http(in).Headers[":authority"] = "", "" }, "400 bad-header"},
		"no request": {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { in.Attributes.Request = nil }, "InvalidArgument"},
		"nothing":    {&auth.CheckRequest{}, nil, "InvalidArgument"},
		"the client's own headers": {call(s.bob, "DELETE", "/admin"), func(in *auth.CheckRequest) {
			for _, name := range []string{"x-original-method", "x-original-uri", "x-forwarded-client-cert", "x-http-method-override", "x-original-url"} {
				http(in).Headers[name] = map[string]string{"x-original-method": "GET", "x-forwarded-client-cert": `Cert="` + url.PathEscape(string(s.alice.CertPEM())) + `"`}[name]
			}
		}, "403 no-rule"},
		"the principal alone":        {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { in.Attributes.Source.Certificate = "" }, "InvalidArgument"},
		"a quote in the certificate": {call(s.bob, "GET", "/orders/7"), func(in *auth.CheckRequest) { in.Attributes.Source.Certificate += `";Subject="CN=alice` }, "InvalidArgument"},
		"PEM that is not encoded":    {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { in.Attributes.Source.Certificate = string(s.alice.CertPEM()) }, "InvalidArgument"},
		"half a certificate":         {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { in.Attributes.Source.Certificate = in.Attributes.Source.Certificate[:200] }, "400 bad-header"},
		"a large call":               {call(s.alice, "GET", "/orders/7"), func(in *auth.CheckRequest) { http(in).Headers["x"] = strings.Repeat("a", 300<<10) }, "ResourceExhausted"},
	} {
		if row.change != nil {
			row.change(row.in)
		}
		if got := decision(envoy.Check(t.Context(), row.in)); got != row.want {
			t.Errorf("%s: got %q, want %q", name, got, row.want)
		}
		if name == "a large call" {
			continue // it is not sent on
		}
		if o := <-s.outcomes; o.Allowed != strings.HasPrefix(row.want, "OK") || row.want == "InvalidArgument" && o.Reason != reason.BadHeader {
			t.Errorf("%s: the outcome is %t %s", name, o.Allowed, o.Reason)
		}
	}
}

// Log lines and metrics are about the client's request, its certificate and its address.
func TestOutcomeIsTheClientsRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	envoy := s.envoy(t, s.ask, s.gateway)
	out := must[*auth.CheckResponse](t)(envoy.Check(t.Context(), call(s.alice, "DELETE", "/orders/7?x=1")))
	o := <-s.outcomes
	reference := ""
	for _, h := range out.GetDeniedResponse().GetHeaders() {
		if h.GetHeader().GetKey() == "x-mtlsguard-reference" {
			reference = h.GetHeader().GetValue()
		}
	}
	if o.Method != "DELETE" || o.Path != "/orders/7" || o.Port != "ask" || o.ClientIP != "192.0.2.7" || o.Reference == "" || o.Reference != reference ||
		o.Verified.Fingerprint() != trust.FingerprintOf(s.alice.Cert) || o.Gateway.Fingerprint() != trust.FingerprintOf(s.gateway.Cert) {
		t.Errorf("%+v, reference %q", o, reference)
	}
}

// Only a gateway's connection gets an answer that allows.
// Covers F2.
func TestOnlyEnvoyMayAsk(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, holder := range map[string]*testpki.Pair{"another of the authority": s.another, "a user": s.alice} {
		if got := decision(s.envoy(t, s.ask, holder).Check(t.Context(), call(s.alice, "GET", "/orders/7"))); got != "403 untrusted-gateway" {
			t.Errorf("%s: %s, want 403 untrusted-gateway", name, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if got := decision(s.envoy(t, s.ask, testpki.NewCA("Other CA").Leaf("envoy")).Check(ctx, call(s.alice, "GET", "/orders/7"))); got != "Unavailable" {
		t.Errorf("an untrusted certificate: %s, want Unavailable", got)
	}
}

// A client's headers that name a caller do not reach the service, in any spelling.
// Covers F1, F3, F13.
func TestIdentityHeadersAreRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	in := call(s.alice, "GET", "/orders/7")
	forged := []string{"x-forwarded-client-cert", "x_mtlsguard_user", "x-mtlsguard-reason", "x.mtlsguard.groups", "x-remote-user", "client-cert", "x-auth-user"}
	for _, name := range append(forged, "x-mtlsguard-user", "X-Mtlsguard-Groups", "accept") {
		in.Attributes.Request.Http.Headers[name] = "root"
	}
	in.Attributes.Request.Http.HeaderMap = &core.HeaderMap{Headers: []*core.HeaderValue{{Key: "remote-user", RawValue: []byte("root")}}}
	out := must[*auth.CheckResponse](t)(s.envoy(t, s.ask, s.gateway).Check(t.Context(), in))
	removed := out.GetOkResponse().GetHeadersToRemove()
	want := append(forged, "remote-user")
	slices.Sort(want)
	if !slices.Equal(removed, want) {
		t.Errorf("removed %q, want %q", removed, want)
	}
}

// A user without a mapping has no header of it: a client's own is removed, because Envoy sets no
// empty header.
func TestEmptyHeaderIsRemoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *middleware.Config, _ *extauthz.Config) {
		p := c.PerPort["ask"]
		p.Unmapped = "guest"
		c.PerPort["ask"] = p
		c.Policy = must[*policy.Engine](t)(policy.Load("policy.csv", strings.NewReader("p, user:guest, *, GET, /*, allow\n")))
	})
	out := must[*auth.CheckResponse](t)(s.envoy(t, s.ask, s.gateway).Check(t.Context(), call(s.ca.Leaf("stranger"), "GET", "/a")))
	if got := decision(out, nil); got != "OK guest Authenticated,Everybody " || !slices.Contains(out.GetOkResponse().GetHeadersToRemove(), "x-mtlsguard-mapping") {
		t.Errorf("%s, removed %q", got, out.GetOkResponse().GetHeadersToRemove())
	}
}

// A quota refuses with 429 and its headers.
func TestQuotaRefusesWith429(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *middleware.Config, _ *extauthz.Config) {
		c.Quotas = []middleware.Quota{{Name: "few", Requests: 1, Interval: time.Hour}}
	})
	envoy := s.envoy(t, s.ask, s.gateway)
	if got := decision(envoy.Check(t.Context(), call(s.alice, "GET", "/orders/7"))); !strings.HasPrefix(got, "OK alice") {
		t.Error(got)
	}
	out, err := envoy.Check(t.Context(), call(s.alice, "GET", "/orders/7"))
	if got := decision(out, err); got != "429 quota" || out.GetStatus().GetCode() != int32(codes.ResourceExhausted) ||
		!slices.ContainsFunc(out.GetDeniedResponse().GetHeaders(), func(h *core.HeaderValueOption) bool { return h.GetHeader().GetKey() == "retry-after" }) {
		t.Errorf("%s %v", got, out)
	}
}

// Other requests go to the guard: questions over HTTP on the same port, calls on another port.
func TestOtherRequestsGoToTheGuard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: s.tls(s.gateway)}, Timeout: testkit.Patience}
	defer client.CloseIdleConnections()
	r := must[*http.Request](t)(http.NewRequest("GET", "https://"+s.ask.Addr().String()+"/envoy.service.auth.v3.Authorization/Check", nil))
	r.Header.Set("X-Original-Method", "GET")
	r.Header.Set("X-Original-URI", "/orders/7")
	r.Header.Set("X-Original-Host", "api.acme.example")
	r.Header.Set("X-Forwarded-Client-Cert", `Cert="`+url.PathEscape(string((&testpki.Pair{Cert: s.alice.Cert}).CertPEM()))+`"`)
	res := must[*http.Response](t)(client.Do(r))
	res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("X-Mtlsguard-User") != "alice" {
		t.Errorf("over HTTP: %d %v", res.StatusCode, res.Header)
	}
	if out, err := s.envoy(t, s.serving, s.gateway).Check(t.Context(), call(s.alice, "GET", "/orders/7")); err == nil {
		t.Errorf("a port that serves answered a call: %v", out)
	}
}

// A port that serves decides about the call itself: its 200 allows nothing.
func TestPortThatServesAllowsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *middleware.Config, c *extauthz.Config) { c.Port = "serving" })
	if got := decision(s.envoy(t, s.serving, s.gateway).Check(t.Context(), call(s.alice, "GET", "/orders/7"))); got != "503 " {
		t.Errorf("got %q, want %q", got, "503 ")
	}
}

// A mapper or an observer that panics refuses the call, and the process goes on.
func TestPanicsRefuse(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *middleware.Config, _ *extauthz.Config) {
		c.Observe = func(*http.Request, middleware.Outcome) { panic("observe") }
	})
	for range 2 {
		if got := decision(s.envoy(t, s.ask, s.gateway).Check(t.Context(), call(s.alice, "GET", "/orders/7"))); got != "Internal" {
			t.Errorf("got %q, want %q", got, "Internal")
		}
	}
}

func TestWrongConfigsAreErrors(t *testing.T) {
	t.Parallel()
	next := http.NotFoundHandler()
	for name, build := range map[string]func() (http.Handler, error){
		"no handler": func() (http.Handler, error) {
			return extauthz.Handler(nil, extauthz.Config{Port: "ask", Question: headers})
		},
		"no port":    func() (http.Handler, error) { return extauthz.Handler(next, extauthz.Config{Question: headers}) },
		"no headers": func() (http.Handler, error) { return extauthz.Handler(next, extauthz.Config{Port: "ask"}) },
	} {
		if h, err := build(); err == nil || h != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
