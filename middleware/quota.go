package middleware

import (
	"fmt"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/configname"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/quota"
	"github.com/mtlsguard/mtlsguard/internal/rulepath"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Quota bounds how many requests the guard lets through. It counts the requests that the policy
// allows, and of these the ones that Group and Path select. Callers who send no certificate
// share one bucket. Quotas count in the memory of the process: n processes let n times as many
// requests through.
type Quota struct {
	// Name is sent to clients: a letter or digit, then up to 63 of A-Z a-z 0-9 . _ -
	Name string
	// Group selects the requests of its users; empty selects those of every caller.
	Group string
	// Path selects requests, in the grammar of policy.Rule; empty selects every path.
	Path string
	// Per is what has a count of its own.
	Per QuotaPer
	// Requests is how many may come in each Interval. Both are required.
	Requests int
	Interval time.Duration
	// Burst is how many may come at once, after a time without requests. 0 means Requests.
	Burst int
}

// QuotaPer is what a Quota counts by itself.
type QuotaPer int

const (
	// PerUser counts the requests of each user. It is the zero value.
	PerUser QuotaPer = iota
	// PerPort counts the requests of all callers of a port together.
	PerPort
)

// String returns "user" or "port".
func (p QuotaPer) String() string {
	switch p {
	case PerUser:
		return "user"
	case PerPort:
		return "port"
	}
	return fmt.Sprintf("QuotaPer(%d)", int(p))
}

// String describes the quota for people.
func (q Quota) String() string {
	text := fmt.Sprintf("%q, %d requests each %s and at most %d at once, per %s", q.Name, q.Requests, shortDuration(q.Interval), q.burst(), q.Per)
	if q.Group != "" {
		text += ", for group " + q.Group
	}
	if q.Path != "" {
		text += ", on " + q.Path
	}
	return text
}

// shortDuration returns a duration without zero parts.
func shortDuration(d time.Duration) string {
	switch d {
	case time.Second:
		return "second"
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	}
	return d.String()
}

func (q Quota) burst() int {
	if q.Burst == 0 {
		return q.Requests
	}
	return q.Burst
}

// Bounds of a quota. Beyond them sums of nanoseconds would overflow.
const (
	minQuotaInterval = time.Microsecond // for one request
	maxQuotaWindow   = 366 * 24 * time.Hour
)

// builtInGroups are the groups that every policy has.
var builtInGroups = []string{identity.Everybody, identity.Authenticated, identity.Anonymous}

// check adds the errors of the quota.
func (q Quota) check(add func(what, hint string)) (path rulepath.Pattern) {
	if !configname.Valid(q.Name) {
		add(fmt.Sprintf("Name: %q is not the name of a quota", q.Name), configname.Hint)
	}
	if q.Group != "" && !username.IsName(q.Group) {
		add(fmt.Sprintf("Group: %q is not the name of a group", q.Group), username.Hint)
	}
	if q.Path != "" {
		var err error
		if path, err = rulepath.Parse(q.Path); err != nil {
			for _, e := range configerror.All(err) {
				add("Path: "+e.What, e.Hint)
			}
		}
	}
	if q.Per != PerUser && q.Per != PerPort {
		add("Per is neither PerUser nor PerPort", "")
	}
	switch {
	case q.Requests <= 0:
		add(fmt.Sprintf("Requests is %d", q.Requests), "set how many requests may come in each Interval")
	case q.Interval <= 0:
		add(fmt.Sprintf("Interval is %s", q.Interval), "set the time for Requests, such as time.Second")
	case q.Burst < 0:
		add(fmt.Sprintf("Burst is %d", q.Burst), "0 means Requests")
	case q.Interval/time.Duration(q.Requests) < minQuotaInterval:
		add(fmt.Sprintf("Requests: %d each %s is more than a million a second", q.Requests, q.Interval), "such a quota would bound nothing: remove it")
	case int64(q.burst()) > int64(maxQuotaWindow/q.Interval)*int64(q.Requests): // no overflow: a million a second at most
		add(fmt.Sprintf("Burst: %d requests take longer than a year at this rate", q.burst()), "use a smaller burst or a higher rate")
	}
	return path
}

// quotas are the compiled quotas of a Config.
type quotas struct {
	rules []quotaRule
	now   func() int64 // nanoseconds
}

// quotaRule is a compiled Quota.
type quotaRule struct {
	Quota
	rate    quota.Rate
	path    rulepath.Pattern
	buckets *quota.Buckets
}

// compileQuotas returns nil without quotas. A quota of the same name and rate as in previous goes
// on counting with its buckets. hasGroups reports that the policy knows the groups of a user.
func compileQuotas(wrong *errorlist.List, c Config, hasGroups bool, previous *quotas) *quotas {
	if len(c.Quotas) == 0 {
		return nil
	}
	out := &quotas{now: quotaClock(c.Now)}
	for i, q := range c.Quotas {
		before := wrong.Len()
		add := func(what, hint string) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("Config.Quotas[%d].%s", i, what), Hint: hint})
		}
		rule := quotaRule{Quota: q, path: q.check(add)}
		if first := slices.IndexFunc(c.Quotas, func(o Quota) bool { return o.Name == q.Name }); first < i {
			add(fmt.Sprintf("Name: %q is already used", q.Name), fmt.Sprintf("Config.Quotas[%d] uses it: choose another", first))
		}
		if !hasGroups && q.Group != "" && !slices.Contains(builtInGroups, q.Group) {
			// Fail closed: the quota would silently count no request.
			wrong.Add(configerror.Error{What: fmt.Sprintf("quota %q is for group %s, and the policy does not have the groups of a user", q.Name, q.Group), Hint: "give the policy.Decider a method Groups(user string) []string"})
		}
		if wrong.Len() > before {
			continue
		}
		rule.rate, rule.buckets = quota.NewRate(q.Requests, q.Interval, q.burst()), previous.bucketsFor(q)
		out.rules = append(out.rules, rule)
	}
	return out
}

// bucketsFor returns the buckets of the quota with the same name and rate, or new ones.
func (all *quotas) bucketsFor(q Quota) *quota.Buckets {
	if all != nil {
		for i := range all.rules {
			if r := &all.rules[i]; r.Name == q.Name && r.Per == q.Per && r.Requests == q.Requests && r.Interval == q.Interval {
				return r.buckets
			}
		}
	}
	return &quota.Buckets{}
}

var started = time.Now()

// quotaClock returns a clock in nanoseconds. Without one of the Config it is never set back.
func quotaClock(now func() time.Time) func() int64 {
	if now == nil {
		base := started.UnixNano()
		return func() int64 { return base + int64(time.Since(started)) }
	}
	return func() int64 { return now().UnixNano() }
}

// appliesTo reports whether the quota counts a request.
func (q *quotaRule) appliesTo(o *Outcome) bool {
	return (q.Path == "" || q.path.Matches(o.Path, o.Identity.User)) && (q.Group == "" || slices.Contains(o.Identity.Groups, q.Group))
}

// Quotas returns the quotas that count a request with this outcome, whether the policy allows
// it or not. It returns nil for a caller without a name. It is safe for concurrent use.
func (g *Guard) Quotas(o Outcome) []Quota {
	s := g.snapshot.Load()
	if s == nil {
		return nil
	}
	return s.quotas.of(&o)
}

func (all *quotas) of(o *Outcome) []Quota {
	if all == nil || o.Identity == nil {
		return nil
	}
	var out []Quota
	for i := range all.rules {
		if q := &all.rules[i]; q.appliesTo(o) {
			out = append(out, q.Quota)
		}
	}
	return out
}

// take takes the request from the bucket of the user, or of the port. It returns how long to
// wait for the next one, 0 if this one was taken.
func (q *quotaRule) take(o *Outcome, hash uint64, now int64, clock func() int64) (*quota.Bucket, time.Duration) {
	switch {
	case q.Per == PerPort:
		return q.buckets.Take(quota.Hash(o.Port), o.Port, now, q.rate, clock)
	case o.Identity.User == identity.Default:
		return q.buckets.TakeCommon(now, q.rate, clock)
	}
	return q.buckets.Take(hash, o.Identity.User, now, q.rate, clock)
}
