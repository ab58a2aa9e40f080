package shadow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/policy"
)

func TestAgreementIsCounted(t *testing.T) {
	t.Parallel()
	e, err := policy.Load("policy.csv", strings.NewReader("p, group:staff, *, GET, /orders/{id}, allow\np, user:bob, *, *, /orders/*, deny\ng, user:alice, group:staff\ng, user:bob, group:staff\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := shadow.New(e, 2, func(d shadow.Difference) { t.Errorf("%+v", d) })
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		for _, user := range []string{"alice", "bob", "eve"} {
			s.Decide(context.Background(), policy.Request{User: user, Port: "p", Method: "GET", Path: fmt.Sprintf("/orders/%d", i)})
		}
	}
	testkit.Eventually(t, "every decision is compared or dropped", func() bool { checked, _, left := s.Counts(); return checked+left == 60 })
	if checked, different, _ := s.Counts(); checked == 0 || different != 0 {
		t.Errorf("%d checked, %d different", checked, different)
	}
}

// A shadow reports the difference if another engine decides.
func TestDifferenceIsReported(t *testing.T) {
	t.Parallel()
	e, err := policy.Load("policy.csv", strings.NewReader("p, user:alice, *, GET, /x, allow\n"))
	if err != nil {
		t.Fatal(err)
	}
	reported := make(chan shadow.Difference, 1)
	s, err := shadow.New(e, 1, func(d shadow.Difference) { reported <- d })
	if err != nil {
		t.Fatal(err)
	}
	denyAll, err := policy.New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.ReplaceEngine(denyAll) // a simulated defect
	s.Decide(context.Background(), policy.Request{User: "alice", Port: "p", Method: "GET", Path: "/x"})
	select {
	case d := <-reported:
		if !d.Casbin || d.Engine.Allowed || d.Request.User != "alice" {
			t.Errorf("got %+v, want alice", d)
		}
	case <-time.After(testkit.Patience):
		t.Error("nothing reported")
	}
}
