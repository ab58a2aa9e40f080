package policy_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/policy"
)

func Example() {
	engine, err := policy.Load("policy.csv", strings.NewReader(`
p, group:finance, internal, GET|POST, /orders/*, allow
p, user:mallory, *, *, /*, deny
g, user:alice, group:finance
g, user:mallory, group:finance
`), policy.WithPorts("internal", "public"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, user := range []string{"alice", "bob", "mallory"} {
		d, err := engine.Decide(context.Background(), policy.Request{User: user, Port: "internal", Method: "GET", Path: "/orders/7"})
		fmt.Printf("%s: allowed %t, reason %q, rule %q\n", user, d.Allowed && err == nil, d.Reason, d.Rule)
	}
	// Output:
	// alice: allowed true, reason "", rule "policy.csv:2"
	// bob: allowed false, reason "no-rule", rule ""
	// mallory: allowed false, reason "denied", rule "policy.csv:3"
}

func ExampleLoad_errors() {
	_, err := policy.Load("policy.csv", strings.NewReader(`p, alice, internal, get, /orders/:id, alow
g, alice, finance
`))
	fmt.Println(err)
	// Output:
	// policy.csv:1: "alice" is neither user:NAME nor group:NAME (write user:alice or group:alice)
	// policy.csv:1: the method "get" is not known (write GET: methods are case-sensitive, and there are no blanks around |)
	// policy.csv:1: the path "/orders/:id" contains the segment ":id" (write {id} for one segment)
	// policy.csv:1: the effect "alow" is neither allow nor deny (write allow or deny, in lower case)
	// policy.csv:2: "alice" is neither user:NAME nor group:NAME (write user:alice or group:alice)
	// policy.csv:2: "finance" is neither user:NAME nor group:NAME (write user:finance or group:finance)
}

func ExampleEngine_Explain() {
	engine, err := policy.New([]policy.Rule{
		{Subject: "group:finance", Port: "internal", Method: "GET", Path: "/orders/*", Effect: policy.Allow},
	}, []policy.Member{
		{Subject: "user:alice", Group: "group:finance"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(engine.Explain(policy.Request{User: "alice", Port: "internal", Method: "POST", Path: "/orders/7"}))
	// Output:
	// no rule for user:alice (groups Authenticated, Everybody, finance) on port internal for POST /orders/7
	//   rule 1: p, group:finance, internal, GET, /orders/*, allow
	//     method: wants GET, got POST
}

func ExampleEngine_Lint() {
	engine, err := policy.Load("policy.csv", strings.NewReader(`p, user:alice, *, GET, /orders/{id}, allow
p, user:alice, *, *, /orders/*, deny
p, group:auditors, *, GET, /*, allow
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range engine.Lint() {
		fmt.Println(f)
	}
	// Output:
	// policy.csv:1: this rule never allows anything: policy.csv:2 denies all of it (deny beats allow; remove one of them)
	// policy.csv:3: group:auditors has no users (write: g, user:NAME, group:auditors)
}
