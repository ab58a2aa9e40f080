package kongyaml

import (
	"context"
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/policy"
)

// maxComparisons bounds the comparisons of a request with a path, and with a consumer.
const maxComparisons = 50_000_000

// compare decides requests to the paths of every carried route as Kong does, and by the rules. A
// request that the rules allow and Kong does not becomes an expectation that fails, and with it the
// import. A request that they refuse and Kong does not is reported.
func (i *importing) compare() error {
	engine, err := i.Policy()
	if err != nil {
		return err
	}
	classes := map[string]*consumer{}
	for _, one := range i.consumers {
		if one.user != "" && one.refused == "" && classes[one.class()] == nil {
			classes[one.class()] = one
		}
	}
	left := maxComparisons
	for _, e := range i.elements {
		if !e.carried {
			continue
		}
		for _, path := range samples(e) {
			for at, method := range methodBits {
				if e.set&(1<<at) == 0 {
					continue
				}
				winner := i.winner(1<<at, path)
				if winner == nil {
					continue
				}
				if left -= 2*len(i.elements) + 10*len(classes); left < 0 {
					i.Remark("the rules are too many to be compared with all decisions of Kong")
					return nil
				}
				for _, class := range sorted(classes) {
					i.compareOne(engine, winner, classes[class], method, path)
				}
			}
		}
	}
	return nil
}

// samples returns paths that an element takes, if no other takes them.
func samples(e *element) []string {
	if strings.HasSuffix(e.prefix, "/") || e.prefix == "" {
		return []string{"/" + strings.TrimPrefix(e.prefix, "/") + "x"}
	}
	return []string{e.prefix, e.prefix + "/x"}
}

// winner returns the element that surely takes a request, or nil.
func (i *importing) winner(method int, path string) (best *element) {
	takes := func(e *element) bool { return e.set&method != 0 && strings.HasPrefix(path, e.prefix) }
	for _, e := range i.elements {
		if takes(e) && e.isPlain() && (best == nil || e.beats(best)) {
			best = e
		}
	}
	for _, e := range i.elements {
		if best != nil && takes(e) && e.route != best.route && !best.beats(e) {
			return nil
		}
	}
	return best
}

// isPlain reports whether all requests match that have the method and begin with the path.
func (e *element) isPlain() bool { return e.exact && len(e.conditions()) == 0 }

// compareOne compares the decisions about a request.
func (i *importing) compareOne(engine *policy.Engine, e *element, one *consumer, method, path string) {
	d, err := engine.Decide(context.Background(), policy.Request{User: one.user, Port: "*", Method: method, Path: path})
	here, there := d.Allowed && err == nil, e.lets(one)
	switch shown := &e.shown[0]; {
	case there && !here:
		if !e.narrowed {
			e.line.Skip(fmt.Sprintf("user %s is refused here, such as for %s %s, with all who have the same groups: rules that keep another route closed refuse one of them", one.user, method, path), "write the rules of both routes by hand, with groups that have no user in common")
		}
		e.narrowed = true
	default:
		if there {
			shown = &e.shown[1]
		}
		if here != there || !*shown {
			i.Expect(importer.Expectation{User: one.user, Port: "*", Method: method, Path: path, Allow: there})
		}
		*shown = true
	}
}
