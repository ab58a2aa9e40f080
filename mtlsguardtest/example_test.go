package mtlsguardtest_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
)

// exampleT stands for the *testing.T of a test.
type exampleT struct {
	testing.TB
	end *[]func()
}

func (exampleT) Helper()                   {}
func (exampleT) Output() io.Writer         { return io.Discard }
func (t exampleT) Cleanup(f func())        { *t.end = append(*t.end, f) }
func (exampleT) Errorf(f string, a ...any) { fmt.Printf(f+"\n", a...) }

func newExampleT() (t exampleT, end func()) {
	t.end = new([]func())
	return t, func() {
		for i := len(*t.end) - 1; i >= 0; i-- {
			(*t.end)[i]()
		}
	}
}

var orders = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	id, _ := identity.FromContext(r.Context())
	fmt.Fprintf(w, "%s reads %s", id.User, r.URL.Path)
})

// A handler behind a real port serves alice, and none of the others.
func ExampleNewServer() {
	t, end := newExampleT() // the *testing.T of a test
	defer end()

	server := mtlsguardtest.NewServer(t, orders,
		mtlsguardtest.WithPolicy("p, group:staff, *, GET, /orders/*, allow\n"),
		mtlsguardtest.WithGroups("alice", "staff"))
	for _, row := range []struct {
		caller string
		client *http.Client
	}{
		{"alice", server.Client("alice")},
		{"bob", server.Client("bob")},
		{"stranger", server.Stranger()},
		{"anonymous", server.Anonymous()},
		{"expired", server.Expired()},
	} {
		res, err := row.client.Get(server.URL + "/orders/7")
		if err != nil {
			fmt.Println(row.caller, "is refused by the handshake")
			continue
		}
		fmt.Println(row.caller, res.StatusCode)
		res.Body.Close()
	}
	// Output:
	// alice 200
	// bob 403
	// stranger 403
	// anonymous is refused by the handshake
	// expired is refused by the handshake
}

// A handler alone, without a guard and without a port.
func ExampleRequest() {
	t, _ := newExampleT() // the *testing.T of a test

	w := httptest.NewRecorder()
	orders.ServeHTTP(w, mtlsguardtest.Request(t, "GET", "/orders/7", "alice", "staff"))
	fmt.Println(w.Code, w.Body)
	// Output: 200 alice reads /orders/7
}

// The decisions of a policy, without a server. The second row is wrong, and the failure names the
// rule behind it.
func ExamplePolicy() {
	t, _ := newExampleT() // the *testing.T of a test

	mtlsguardtest.Policy(t, `p, group:staff, *, GET, /orders/*, allow
g, user:alice, group:staff
`, `
# user  port  method  path       expected
alice   *     GET     /orders/7  allow
alice   *     GET     /orders/7  deny
bob     *     GET     /orders/7  no-rule
`)
	// Output:
	// mtlsguardtest: table:4: alice * GET /orders/7: wanted deny, got allow by policy.csv:1
	//     p, group:staff, *, GET, /orders/*, allow
}
