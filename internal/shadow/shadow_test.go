package shadow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/shadow"
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
	waitFor(t, func() bool { checked, _, left := s.Counts(); return checked+left == 60 })
	if checked, different, _ := s.Counts(); checked == 0 || different != 0 {
		t.Errorf("%d checked, %d different", checked, different)
	}
}

// A shadow of another engine's decisions sees the difference.
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
	s.ReplaceEngine(denyAll) // what a defect would look like
	s.Decide(context.Background(), policy.Request{User: "alice", Port: "p", Method: "GET", Path: "/x"})
	select {
	case d := <-reported:
		if !d.Casbin || d.Engine.Allowed || d.Request.User != "alice" {
			t.Errorf("%+v", d)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing reported")
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for range 500 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}
