package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
)

// BenchmarkLargeFleetFile measures the time from a commit until it is in effect on one node with 50,000
// mappings: a change of the mappings, and one of the policy.
func BenchmarkLargeFleetFile(b *testing.B) {
	f := newFleet(b)
	mappings := func(last string) string {
		var text strings.Builder
		text.WriteString(siteUsers)
		for i := range 50_000 {
			fmt.Fprintf(&text, "  - {id: u%d, user: u%d, subject: \"CN=u%d\", issuer: ca.pem}\n", i, i, i)
		}
		fmt.Fprintf(&text, "  - {id: last, user: %s, subject: \"CN=last\", issuer: ca.pem}\n", last)
		return text.String()
	}
	f.files["users.yaml"] = mappings("first")
	f.commit()
	server, err := mtlsguard.Open(f.path("mtlsguard.yaml"), mtlsguard.Options{Source: f.store})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	take := func(pairs ...string) {
		number := f.commit(pairs...).Manifest.Number
		for server.Status().Source.Number != number {
			time.Sleep(time.Millisecond)
		}
	}
	n := 0
	b.Run("users", func(b *testing.B) {
		for b.Loop() {
			n++
			take("users.yaml", mappings(fmt.Sprint("last", n)))
		}
	})
	b.Run("policy", func(b *testing.B) {
		take()
		for b.Loop() {
			n++
			take("policy.csv", sitePolicy+fmt.Sprintf("p, user:n%d, internal, GET, /whoami, allow\n", n))
		}
	})
}
