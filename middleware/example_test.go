package middleware_test

import (
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

func ExampleGuard_Handler() {
	anchors, err := trust.Files("../testdata/pki/client-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	table, err := certmap.New(
		certmap.Mapping{ID: "staff", User: "{user}", Subject: "CN={user},OU=Staff,O=Acme", Issuer: trust.SPKIOf(anchors[0])},
	)
	if err != nil {
		log.Fatal(err)
	}
	rules, err := policy.New([]policy.Rule{
		{Subject: "user:alice", Port: "internal", Method: "GET", Path: "/orders/*", Effect: policy.Allow},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{Map: table, Policy: rules})
	if err != nil {
		log.Fatal(err)
	}
	hello := func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "%s, by %s, on port %s", id.User, id.MappingID, id.Port)
	}

	port, stop := exampleListen("internal", ports.Request, guard.Handler(http.HandlerFunc(hello)))
	defer stop()
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/17"))
	fmt.Println(exampleCall(port, "alice", "DELETE", "/orders/17"))
	fmt.Println(exampleCall(port, "stranger", "GET", "/orders/17"))
	fmt.Println(exampleCall(port, "", "GET", "/orders/17"))
	// Output:
	// 200 alice, by staff, on port internal
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

	port, stop := exampleListen("internal", ports.Require, api)
	defer stop()
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/17"))
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/1%37"))
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/1%2f7"))
	fmt.Println(exampleCall(port, "bob", "GET", "/orders/17"))
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

	port, stop := exampleListen("internal", ports.Require, api)
	defer stop()
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/17"))
	fmt.Println(exampleCall(port, "alice", "GET", "/orders/1%37"))
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
	partners, stop := exampleListen("partners", ports.Require, h)
	defer stop()
	public, stop := exampleListen("public", ports.None, h)
	defer stop()
	fmt.Println(exampleCall(partners, "alice", "GET", "/public/news"))
	fmt.Println(exampleCall(partners, "", "GET", "/public/news"))
	fmt.Println(exampleCall(public, "", "GET", "/public/news"))
	fmt.Println(exampleCall(public, "alice", "GET", "/orders")) // the port requested no certificate
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

	port, stop := exampleListen("internal", ports.Require, guard.Identify(h))
	defer stop()
	fmt.Println(exampleCall(port, "bob", "GET", "/whoami"))
	fmt.Println(exampleCall(port, "bob", "GET", "/v1/orders"))
	fmt.Println(exampleCall(port, "alice", "GET", "/v1/orders"))
	fmt.Println(exampleCall(port, "stranger", "GET", "/whoami"))
	// Output:
	// 200 bob
	// 403 no-rule
	// 200 /orders
	// 403 unmapped
}

// Each user may fetch two reports a minute, and anything else as often as the policy allows.
func ExampleQuota() {
	rules, err := policy.Load("policy.csv", strings.NewReader("p, group:Authenticated, *, GET, /*, allow\n"))
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{Map: exampleTable(), Policy: rules, Quotas: []middleware.Quota{
		{Name: "reports", Path: "/reports/*", Per: middleware.PerUser, Requests: 2, Interval: time.Minute},
	}})
	if err != nil {
		log.Fatal(err)
	}
	hello := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") }

	port, stop := exampleListen("internal", ports.Require, guard.Handler(http.HandlerFunc(hello)))
	defer stop()
	for range 3 {
		fmt.Println(exampleCall(port, "alice", "GET", "/reports/2026"))
	}
	fmt.Println(exampleCall(port, "alice", "GET", "/orders"))
	fmt.Println(exampleCall(port, "bob", "GET", "/reports/2026"))
	// Output:
	// 200 hello
	// 200 hello
	// 429 quota
	// 200 hello
	// 200 hello
}
