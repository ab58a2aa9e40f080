package allow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/outbound/allow"
	"github.com/mtlsguard/mtlsguard/policy"
)

// exampleT stands for the *testing.T of a test.
type exampleT struct{ testing.TB }

func (exampleT) Helper() {}

// Alice may use partner-a, and nothing else is allowed. The function is for
// outbound.Config.Allow.
func Example() {
	rules, err := policy.Load("outbound.csv", strings.NewReader("p, user:alice, outbound, USE, /partner-a, allow\n"), allow.Vocabulary()...)
	if err != nil {
		fmt.Println(err)
		return
	}
	use, err := allow.New(rules)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := mtlsguardtest.Request(exampleT{}, "GET", "/", "alice").Context() // in a handler: r.Context()
	fmt.Println(use(ctx, "partner-a"))
	fmt.Println(use(ctx, "partner-b"))
	fmt.Println(use(context.Background(), "partner-a"))
	// Output:
	// <nil>
	// no-rule: alice may not use partner-b
	// policy-error: the context has no identity: make the call with the context of the request that it is for
}
