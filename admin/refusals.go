package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Bounds of lists.
const (
	defaultLimit = 200
	maxLimit     = 1000
)

// number reads a number of the query. An absent one is the default.
func (c *call) number(name string, least, most, absent uint64) (uint64, error) {
	text := c.URL.Query().Get(name) // not FormValue, which would read a body
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, invalid(fmt.Sprintf("%s: %q is not a number from %d to %d", name, text, least, most), "leave it out for the default")
	}
	return n, nil
}

// refusalFilter selects refusals by the query.
type refusalFilter struct {
	Reason, Port, User, Fingerprint string
	since                           time.Time
	limit, after                    uint64
}

func (c *call) refusalFilter() (refusalFilter, error) {
	q := c.URL.Query()
	f := refusalFilter{Reason: q.Get("reason"), Port: q.Get("port"), User: q.Get("user"), Fingerprint: strings.ToLower(q.Get("fingerprint"))}
	if f.Reason != "" && !reason.Reason(f.Reason).Known() {
		return f, invalid(fmt.Sprintf("reason: %q is not a reason", f.Reason), "docs/reasons.md lists them")
	}
	var err error
	if text := q.Get("since"); text != "" {
		if f.since, err = time.Parse(time.RFC3339, text); err != nil {
			return f, invalid(fmt.Sprintf("since: %q is not a time", text), "such as 2026-01-31T08:00:00Z")
		}
	}
	if f.limit, err = c.number("limit", 1, maxLimit, defaultLimit); err != nil {
		return f, err
	}
	f.after, err = c.number("after", 1, 1<<63, 0)
	return f, err
}

// matches reports whether the filter selects a refusal. It does not parse the certificate.
func (f *refusalFilter) matches(r *refusal) bool {
	return (f.Reason == "" || string(r.reason) == f.Reason) && (f.Port == "" || r.port == f.Port) && (f.User == "" || r.user == f.User) &&
		(f.after == 0 || r.sequence < f.after) && (f.since.IsZero() || !r.at.Before(f.since)) &&
		(f.Fingerprint == "" || len(r.chain) > 0 && strings.HasPrefix(r.chain[0].fingerprint.String(), f.Fingerprint))
}

// refusals lists refusals, newest first. after is the sequence of the last one on the page
// before.
func (c *call) refusals() (any, error) {
	f, err := c.refusalFilter()
	if err != nil {
		return nil, err
	}
	out, _ := c.page.list(&f)
	return out, nil
}

// list returns the refusals that a filter selects, and whether there are more.
func (p *Page) list(f *refusalFilter) (out []apiRefusal, more bool) {
	out = []apiRefusal{}
	for _, r := range p.recorder.refusals() {
		if !f.matches(r) {
			continue
		}
		if uint64(len(out)) == f.limit {
			return out, true
		}
		out = append(out, r.view())
	}
	return out, false
}

// findRefusal returns the refusal that the path names.
func (c *call) findRefusal(id string) (*refusal, error) {
	if r := c.page.find(id); r != nil {
		return r, nil
	}
	return nil, notFound(fmt.Sprintf("no refusal with the reference %q is remembered", id), "the log has older ones: mtlsguard explain --log FILE --reference ID")
}

func (c *call) refusal() (any, error) {
	r, err := c.findRefusal(c.PathValue("reference"))
	if err != nil {
		return nil, err
	}
	return r.view(), nil
}

// series answers with the refusals of each minute.
func (c *call) series() (any, error) {
	q := c.URL.Query()
	if of := q.Get("of"); of != "" && of != "refused" {
		return nil, invalid(fmt.Sprintf("of: %q is not counted", of), "refused")
	}
	if by := q.Get("by"); by != "" && by != "reason" {
		return nil, invalid(fmt.Sprintf("by: %q is not a key of the counts", by), "reason")
	}
	n, err := c.number("minutes", 1, minutesKept, 60)
	if err != nil {
		return nil, err
	}
	step, err := c.number("step", 1, n, 1)
	if err != nil {
		return nil, err
	}
	return c.page.minutes.report(c.now, int(n), int(step)), nil
}

// disabledCalls returns how often a disabled mapping has refused a certificate since a time, by its
// id.
func (p *Page) disabledCalls(since time.Time) map[string]int {
	out := map[string]int{}
	for _, r := range p.callers.all() { // the certificate was trusted
		if r.disabled && !r.at.Before(since) {
			out[r.mapping]++
		}
	}
	return out
}

// apiRefused is how often one caller was refused for one reason on one port.
type apiRefused struct {
	Reason reason.Reason
	Who    string
	Port   string
	Count  int
	Last   apiRefusal
}

// mostRefused returns who was refused most often since a time, at most n.
func (p *Page) mostRefused(since time.Time, n int) []apiRefused {
	type key struct {
		reason     reason.Reason
		user, port string
		leaf       *certificate
	}
	last := map[key]*refusal{}
	counts := map[key]int{}
	var order []key
	for _, r := range p.recorder.refusals() { // newest first
		if r.at.Before(since) {
			continue
		}
		k := key{reason: r.reason, user: r.user, port: r.port}
		if r.user == "" && len(r.chain) > 0 {
			k.leaf = r.chain[0]
		}
		if counts[k]++; counts[k] == 1 {
			last[k] = r
			order = append(order, k)
		}
	}
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(counts[b], counts[a]) })
	var out []apiRefused
	for _, k := range order[:min(n, len(order))] {
		v := last[k].view()
		out = append(out, apiRefused{Reason: k.reason, Who: v.who(), Port: k.port, Count: counts[k], Last: v})
	}
	return out
}
