package middleware_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

func ExampleGuard_Handler() {
	table, err := certmap.New(
		certmap.Mapping{ID: "alice-2026", User: "alice", Fingerprint: trust.FingerprintOf(shared().alice.Cert)},
	)
	if err != nil {
		panic(err)
	}
	rules, err := policy.New([]policy.Rule{
		{Subject: "user:alice", Port: "internal", Method: "GET", Path: "/orders/*", Effect: policy.Allow},
	}, nil)
	if err != nil {
		panic(err)
	}
	guard, err := middleware.New(middleware.Config{Map: table, Policy: rules})
	if err != nil {
		panic(err)
	}
	hello := func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "%s, by %s, on port %s", id.User, id.MappingID, id.Port)
	}

	port, stop := listen("internal", ports.Request, guard.Handler(http.HandlerFunc(hello)))
	defer stop()
	fmt.Println(call(port, shared().alice, "GET", "/orders/17"))
	fmt.Println(call(port, shared().alice, "DELETE", "/orders/17"))
	fmt.Println(call(port, shared().unmapped, "GET", "/orders/17"))
	fmt.Println(call(port, nil, "GET", "/orders/17"))
	// Output:
	// 200 alice, by alice-2026, on port internal
	// 403 no-rule
	// 403 unmapped
	// 403 no-certificate
}

// In front of a chi router the guard goes into Use, so that chi routes the path
// that was authorised.
func ExampleGuard_Handler_chi() {
	guard := exampleGuard("p, user:alice, *, GET, /orders/{id}, allow")
	api := chi.NewRouter()
	api.Use(guard.Handler)
	api.Get("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "order ", chi.URLParam(r, "id"))
	})

	port, stop := listen("internal", ports.Require, api)
	defer stop()
	fmt.Println(call(port, shared().alice, "GET", "/orders/17"))
	fmt.Println(call(port, shared().alice, "GET", "/orders/1%37"))
	fmt.Println(call(port, shared().alice, "GET", "/orders/1%2f7"))
	fmt.Println(call(port, shared().bob, "GET", "/orders/17"))
	// Output:
	// 200 order 17
	// 200 order 17
	// 400 ambiguous-path
	// 403 no-rule
}

// A router that routes before the guard may route another path than the one that the guard
// authorises. The guard refuses such requests if it detects them. Always put the guard
// outside the router.
func ExampleGuard_Handler_incorrect() {
	guard := exampleGuard("p, user:alice, *, GET, /orders/{id}, allow")
	api := chi.NewRouter()
	api.With(guard.Handler).Get("/orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "order ", chi.URLParam(r, "id")) // would be "1%37"
	})

	port, stop := listen("internal", ports.Require, api)
	defer stop()
	fmt.Println(call(port, shared().alice, "GET", "/orders/17"))
	fmt.Println(call(port, shared().alice, "GET", "/orders/1%37"))
	// Output:
	// 200 order 17
	// 400 ambiguous-path
}

// Two ports of one program: partners requires a certificate, and public lets everybody read
// public paths.
func ExampleConfig_twoPorts() {
	guard := exampleGuard(
		"p, user:alice, partners, *, /*, allow",
		"p, user:Default, public, GET, /public/*, allow",
	)
	hello := func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprint(w, id.User, " in ", id.Groups)
	}

	h := guard.Handler(http.HandlerFunc(hello))
	partners, stop := listen("partners", ports.Require, h)
	defer stop()
	public, stop := listen("public", ports.None, h)
	defer stop()
	fmt.Println(call(partners, shared().alice, "GET", "/public/news"))
	fmt.Println(call(partners, nil, "GET", "/public/news"))
	fmt.Println(call(public, nil, "GET", "/public/news"))
	fmt.Println(call(public, shared().alice, "GET", "/orders")) // the port requested no certificate
	// Output:
	// 200 alice in [Authenticated Everybody]
	// no connection
	// 200 Default in [Anonymous Everybody]
	// 403 no-rule
}

// Identify, outside, identifies every caller. Authorize, inside, evaluates the policy for
// the path as it is served there.
func ExampleGuard_Identify() {
	guard := exampleGuard("p, user:alice, *, GET, /orders, allow")
	h := http.NewServeMux()
	h.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprint(w, id.User)
	})
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	h.Handle("/v1/", http.StripPrefix("/v1", guard.Authorize(orders)))

	port, stop := listen("internal", ports.Require, guard.Identify(h))
	defer stop()
	fmt.Println(call(port, shared().bob, "GET", "/whoami"))
	fmt.Println(call(port, shared().bob, "GET", "/v1/orders"))
	fmt.Println(call(port, shared().alice, "GET", "/v1/orders"))
	fmt.Println(call(port, shared().unmapped, "GET", "/whoami"))
	// Output:
	// 200 bob
	// 403 no-rule
	// 200 /orders
	// 403 unmapped
}

// Each user may fetch two reports a minute, and anything else as often as the policy allows.
func ExampleQuota() {
	table, err := certmap.New(mappings()...)
	if err != nil {
		panic(err)
	}
	rules, err := policy.Load("policy.csv", strings.NewReader("p, group:Authenticated, *, GET, /*, allow\n"))
	if err != nil {
		panic(err)
	}
	guard, err := middleware.New(middleware.Config{Map: table, Policy: rules, Quotas: []middleware.Quota{
		{Name: "reports", Path: "/reports/*", Per: middleware.PerUser, Requests: 2, Interval: time.Minute},
	}})
	if err != nil {
		panic(err)
	}
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }

	port, stop := listen("internal", ports.Require, guard.Handler(http.HandlerFunc(hello)))
	defer stop()
	for range 3 {
		fmt.Println(call(port, shared().alice, "GET", "/reports/2026"))
	}
	fmt.Println(call(port, shared().alice, "GET", "/orders"))
	fmt.Println(call(port, shared().bob, "GET", "/reports/2026"))
	// Output:
	// 200 hello
	// 200 hello
	// 429 quota
	// 200 hello
	// 200 hello
}

// exampleGuard returns a guard that maps alice and bob, and that accepts callers without a
// certificate on ports called public.
func exampleGuard(lines ...string) *middleware.Guard {
	table, err := certmap.New(mappings()...)
	if err != nil {
		panic(err)
	}
	rules, err := policy.Load("policy.csv", strings.NewReader(strings.Join(lines, "\n")+"\n"))
	if err != nil {
		panic(err)
	}
	guard, err := middleware.New(middleware.Config{
		Map: table, Policy: rules,
		PerPort: map[string]middleware.PortConfig{"public": {Fallback: middleware.ToDefault}},
		Ports:   []string{"partners", "public", "internal"}, // each has its own server
	})
	if err != nil {
		panic(err)
	}
	return guard
}

// listen serves h on a loopback port until stop is called.
func listen(name string, mode ports.ClientAuth, h http.Handler) (port *ports.Port, stop func()) {
	verifier, err := trust.New(trust.Config{Anchors: []*x509.Certificate{shared().ca.Cert}})
	if err != nil {
		panic(err)
	}
	port, err = ports.New(ports.Config{
		Name: name, Addr: "127.0.0.1:0", ClientAuth: mode, Trust: verifier,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &shared().server, nil },
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- (&ports.Server{Handler: h, Ports: []*ports.Port{port}, Ready: func() { close(ready) }}).Serve(ctx)
	}()
	<-ready
	return port, func() { cancel(); <-ended }
}

// call makes one request and returns the status and the body or reason of its answer.
func call(port *ports.Port, p *testpki.Pair, method, path string) string {
	t := &http.Transport{TLSClientConfig: tlsConfig(p), DisableKeepAlives: true}
	r, err := http.NewRequestWithContext(context.Background(), method, "https://"+port.Addr().String()+path, nil)
	if err != nil {
		return err.Error()
	}
	res, err := t.RoundTrip(r)
	if err != nil {
		return "no connection"
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if _, after, refused := strings.Cut(string(body), `"reason":"`); refused {
		why, _, _ := strings.Cut(after, `"`)
		return fmt.Sprint(res.StatusCode, " ", why)
	}
	return fmt.Sprint(res.StatusCode, " ", string(body))
}
