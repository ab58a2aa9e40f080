package mtlsguard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A program keeps its own http.Server and its graceful shutdown. Run does the rest: files are
// watched, CRLs are fetched, and the readiness probe knows the state.
func ExampleServer_Run() {
	dir, done := exampleFiles(map[string]string{"mtlsguard.yaml": exampleConfig, "users.yaml": exampleUsers, "policy.csv": examplePolicy})
	defer done()
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{})
	if err != nil {
		log.Fatal(err)
	}
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprintf(w, "%s reads %s", id.User, r.URL.Path)
	})
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a real program
	defer stop()

	port := server.Ports()[0]
	listener, err := port.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: server.Handler(orders), ReadTimeout: 10 * time.Second}
	if err := port.Configure(srv); err != nil {
		log.Fatal(err) // a setting of srv that the port cannot keep
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	go func() { ended <- srv.Serve(listener) }()

	fmt.Println(exampleGet(exampleClient("alice"), "https://"+port.Addr().String()+"/orders/7"))
	fmt.Println(exampleGet(exampleClient("bob"), "https://"+port.Addr().String()+"/orders/7"))

	stop()
	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("shutdown:", srv.Shutdown(shutdown))
	for range 2 {
		if err := <-ended; err != nil && !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}
	// Output:
	// 200 alice reads /orders/7
	// 403
	// shutdown: <nil>
}

// Routes of a chi application require more than the policy. The guard stands outside the
// router, and its refusals and those of the routes look alike.
func ExampleServer_Guard() {
	dir, done := exampleFiles(map[string]string{
		"mtlsguard.yaml": exampleConfig, "users.yaml": exampleUsers,
		"policy.csv": "p, group:Authenticated, internal, GET, /*, allow\ng, user:alice, group:admins\n",
	})
	defer done()
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{})
	if err != nil {
		log.Fatal(err)
	}
	guard := server.Guard()
	say := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			id, _ := identity.FromContext(r.Context())
			fmt.Fprintf(w, "%s for %s, an admin: %t", text, id.User, id.In("admins"))
		}
	}
	router := chi.NewRouter()
	router.Get("/orders/{id}", say("an order"))
	router.With(guard.RequireGroup("admins")).Get("/admin", say("the admin page"))

	url, stop := exampleServe(server, router)
	defer stop()
	for _, name := range []string{"alice", "bob"} {
		fmt.Println(exampleGet(exampleClient(name), url+"/orders/7"))
		fmt.Println(exampleGet(exampleClient(name), url+"/admin"))
	}
	// Output:
	// 200 an order for alice, an admin: true
	// 200 the admin page for alice, an admin: true
	// 200 an order for bob, an admin: false
	// 403
}

// database is the program's own table of users.
type database map[string]string

// Map implements certmap.Mapper. It is called once for each request.
func (d database) Map(_ context.Context, v trust.Verified, _ string) (certmap.Match, error) {
	user, ok := d[v.Leaf().Subject.CommonName]
	if !ok {
		return certmap.Match{}, reason.Refuse(reason.Unmapped, "not in the database")
	}
	return certmap.Match{User: user}, nil // any other error refuses with policy-error
}

// The users come from the program's own database, and the port listens where the program wants:
// the file needs no users.
func ExampleOptions_map() {
	dir, done := exampleFiles(map[string]string{
		"mtlsguard.yaml": strings.Replace(exampleConfig, "users: users.yaml\n", "", 1),
		"policy.csv":     "p, group:Authenticated, *, GET, /orders/*, allow\n",
	})
	defer done()
	server, err := mtlsguard.Open(filepath.Join(dir, "mtlsguard.yaml"), mtlsguard.Options{
		Map: database{"alice": "alice@acme.example"},
		Listen: func(_ context.Context, port, addr string) (net.Listener, error) {
			return net.Listen("tcp4", addr)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	url, stop := exampleServe(server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := identity.FromContext(r.Context())
		fmt.Fprint(w, "hello ", id.User)
	}))
	defer stop()
	fmt.Println(exampleGet(exampleClient("alice"), url+"/orders/7"))
	fmt.Println(exampleGet(exampleClient("bob"), url+"/orders/7"))
	// Output:
	// 200 hello alice@acme.example
	// 403
}

// exampleServe serves h on the first port of a server.
func exampleServe(server *mtlsguard.Server, h http.Handler) (url string, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := server.Ports()[0].Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: server.Handler(h)}
	if err := server.Ports()[0].Configure(srv); err != nil {
		log.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	go func() { _ = srv.Serve(listener) }()
	return "https://" + listener.Addr().String(), func() { srv.Close(); cancel(); <-ended }
}

// exampleGet returns the status of an answer, and the body of an allowed request.
func exampleGet(c *http.Client, url string) string {
	res, err := c.Get(url)
	if err != nil {
		return "no connection"
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Sprint(res.StatusCode)
	}
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body))
}
