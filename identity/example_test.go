package identity_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

func ExampleFromContext() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := identity.FromContext(r.Context())
		if !ok {
			http.Error(w, "no guard before this handler", http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "hello %s, an admin: %t", id.User, id.In("admins"))
	})
	var t exampleT // the *testing.T of a test
	w := httptest.NewRecorder()
	hello(w, mtlsguardtest.Request(t, "GET", "/", "alice", "admins"))
	fmt.Println(w.Body)
	// Output: hello alice, an admin: true
}

// Required keeps a handler from being served without a guard by accident.
func ExampleRequired() {
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "an order") })
	server := httptest.NewServer(identity.Required(orders)) // no guard
	defer server.Close()
	res, err := http.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 500 Internal Server Error
}

type exampleT struct{ testing.TB }

func (exampleT) Helper() {}
