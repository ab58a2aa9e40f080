package policy_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/policycache"
	"github.com/mtlsguard/mtlsguard/policy"
)

// deepNests returns a policy in which each of many users is in a group of their own and, by
// one membership more, in a thousand others.
func deepNests(users int) ([]policy.Rule, []policy.Member) {
	var members []policy.Member
	for i := range 1000 {
		members = append(members, policy.Member{Subject: "group:base", Group: fmt.Sprintf("group:over%03d", i)})
	}
	var rules []policy.Rule
	for i := range users {
		members = append(members,
			policy.Member{Subject: fmt.Sprintf("user:u%d", i), Group: "group:base"},
			policy.Member{Subject: fmt.Sprintf("user:u%d", i), Group: fmt.Sprintf("group:own%d", i)})
		rules = append(rules, policy.Rule{Subject: fmt.Sprintf("group:own%d", i), Port: "*", Method: "GET", Path: fmt.Sprintf("/own/%d", i), Effect: policy.Allow})
	}
	return append(rules,
		policy.Rule{Subject: "group:over500", Port: "*", Method: "*", Path: "/over/*", Effect: policy.Allow},
		policy.Rule{Subject: "group:over999", Port: "*", Method: "*", Path: "/over/secret", Effect: policy.Deny}), members
}

// Each user's groups would take 1,004 ids. The engine keeps fewer for all together, and the
// groups of the others are found by the memberships, with the same decisions.
func TestGroupsThatAreNotKeptDecideAlike(t *testing.T) {
	t.Parallel()
	const users = 300
	e := mustNew(t, first(deepNests(users)), second(deepNests(users)))
	ids, without := e.Kept()
	if ids == 0 || ids > 64<<10+16*1600 || without == 0 || without == users {
		t.Fatalf("%d ids are kept, and none for %d of %d users", ids, without, users)
	}
	for i := range users {
		user := fmt.Sprintf("u%d", i)
		groups := e.Groups(user)
		if len(groups) != 1004 || !slices.IsSorted(groups) || !slices.Contains(groups, fmt.Sprintf("own%d", i)) || !slices.Contains(groups, "over123") || groups[0] != "Authenticated" {
			t.Fatalf("%s: %d groups, the first %q", user, len(groups), groups[:3])
		}
		var cache policycache.Entry
		for _, entry := range []*policycache.Entry{nil, &cache, &cache} {
			for path, want := range map[string]bool{fmt.Sprintf("/own/%d", i): true, fmt.Sprintf("/own/%d", (i+1)%users): false, "/over/x": true, "/over/secret": false} {
				d, err := e.Decide(context.Background(), policy.Request{User: user, Port: "p", Method: "GET", Path: path, Caller: entry})
				if err != nil || d.Allowed != want {
					t.Errorf("%s, %s: got %+v, %v; want %v", user, path, d, err, want)
				}
			}
		}
	}
}

// Users with the same direct groups share one set, in whatever order their lines are.
func TestUsersWithTheSameGroupsShareThem(t *testing.T) {
	t.Parallel()
	var members []policy.Member
	for i := range 1000 {
		a, b := "group:a", "group:b"
		if i%2 == 0 {
			a, b = b, a
		}
		user := fmt.Sprintf("user:u%d", i)
		members = append(members, policy.Member{Subject: user, Group: a}, policy.Member{Subject: user, Group: b},
			policy.Member{Subject: fmt.Sprintf("user:alone%d", i), Group: "group:a"})
	}
	e := mustNew(t, nil, members)
	if ids, without := e.Kept(); without != 0 || ids != 2+2+4+3 { // of any user, of Default, of two groups, of one
		t.Errorf("%d ids are kept, and none for %d users", ids, without)
	}
	if got := fmt.Sprint(e.Groups("u1"), e.Groups("u2"), e.Groups("alone7")); got != "[Authenticated Everybody a b] [Authenticated Everybody a b] [Authenticated Everybody a]" {
		t.Error(got)
	}
}

// The memory that Groups and Decide allocate for a connection does not grow with the number of
// groups in the policy.
func TestConnectionsAllocateNothingByTheSizeOfThePolicy(t *testing.T) {
	perCaller := func(groups int) uint64 {
		rules, members := manyGroups(groups)
		e := mustNew(t, rules, members)
		const callers = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range callers {
			newCaller(t, e, i%groups)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / callers
	}
	if few, many := perCaller(10), perCaller(5000); many > few+200 { // a name of a group is longer
		t.Errorf("%d bytes for a caller with 10 groups in the policy, %d with 5,000", few, many)
	}
}

// manyGroups returns a policy in which each user is in a group of their own, which is in one
// of ten others.
func manyGroups(groups int) (rules []policy.Rule, members []policy.Member) {
	for i := range groups {
		rules = append(rules, policy.Rule{Subject: fmt.Sprintf("group:g%d", i), Port: "*", Method: "GET", Path: fmt.Sprintf("/orders/%d/*", i), Effect: policy.Allow})
		members = append(members, policy.Member{Subject: fmt.Sprintf("user:u%d", i), Group: fmt.Sprintf("group:g%d", i)},
			policy.Member{Subject: fmt.Sprintf("group:g%d", i), Group: fmt.Sprintf("group:above%d", i%10)})
	}
	return rules, members
}

// newCaller does what the guard does for the first request of a connection.
func newCaller(tb testing.TB, e *policy.Engine, i int) {
	r := policy.Request{User: fmt.Sprintf("u%d", i), Port: "internal", Method: "GET", Path: fmt.Sprintf("/orders/%d/7", i), Caller: &policycache.Entry{}}
	if groups := e.Groups(r.User); len(groups) != 4 {
		tb.Fatal(groups)
	}
	if d, err := e.Decide(context.Background(), r); !d.Allowed || err != nil {
		tb.Fatal(d, err)
	}
}

// BenchmarkNewCaller measures what the policy does for the first request of a connection, by
// the number of groups in the policy.
func BenchmarkNewCaller(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000, 100_000} {
		e := mustNew(b, first(manyGroups(n)), second(manyGroups(n)))
		for _, users := range []int{1, min(n, 10_000)} {
			b.Run(fmt.Sprintf("groups=%d/users=%d", n, users), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					newCaller(b, e, i*7919%users)
				}
			})
		}
	}
	b.Run("deep", func(b *testing.B) { // 1,004 groups of each user
		e := mustNew(b, first(deepNests(300)), second(deepNests(300)))
		for name, user := range map[string]string{"kept": "u0", "followed": "u299"} {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e.Groups(user)
				}
			})
		}
	})
}

// The groups of Everybody count towards the bound of groups: a set beyond it would be cut, and could miss a
// denied group.
func TestGroupsOfEverybodyAreBounded(t *testing.T) {
	t.Parallel()
	var members []policy.Member
	for i := range 1022 {
		members = append(members, policy.Member{Subject: "group:Everybody", Group: fmt.Sprintf("group:g%d", i)})
	}
	mustNew(t, nil, members)
	for _, member := range []string{"group:Everybody", "group:Authenticated", "group:Anonymous", "group:g7"} {
		_, err := policy.New(nil, append(slices.Clone(members), policy.Member{Subject: member, Group: "group:one-more"}))
		wantOneError(t, err, "", "membership…1,024 groups")
	}
}
