package kongyaml

import "strings"

// element is a route with one of its paths.
type element struct {
	*route
	path     string // "": the route has no paths
	prefix   string // the beginning that all its paths have
	exact    bool   // every path with the beginning is one of its paths
	set      int    // of methods that no other route surely takes
	longest  int    // path of the route
	carried  bool
	shown    [2]bool // a refusal and a permission are among the expectations
	narrowed bool    // a request that the rules refuse is reported
}

// split returns the elements of a route.
func (r *route) split(old bool) (out []*element) {
	longest := 0
	for _, p := range r.paths {
		longest = max(longest, len(p))
	}
	set, _ := r.bits()
	if len(r.paths) == 0 || r.expressed {
		return []*element{{route: r, exact: !r.expressed, set: set}}
	}
	for _, p := range r.paths {
		e := &element{route: r, path: p, set: set, longest: longest}
		switch pattern, isPattern := strings.CutPrefix(p, "~"); {
		case isUnresolved(p):
		case isPattern || old && strings.Trim(p, pathCharacters) != "":
			e.prefix = literalBeginning(pattern)
		default:
			e.prefix = plainBeginning(p)
			e.exact = e.prefix == p
		}
		out = append(out, e)
	}
	return out
}

const (
	letters        = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	pathCharacters = letters + "/_-.~%"
)

// plainBeginning returns the beginning of a path up to what Kong might compare in another form.
func plainBeginning(path string) string {
	end := 0
	for segment := range strings.SplitAfterSeq(path, "/") {
		if bare := strings.TrimSuffix(segment, "/"); end > 0 && segment == "/" || bare == "." || bare == ".." {
			return path[:end]
		}
		if i := strings.IndexFunc(segment, func(c rune) bool { return !strings.ContainsRune(letters+"/_-.~@:+=$!,;&()", c) }); i >= 0 {
			return path[:end+i]
		}
		end += len(segment)
	}
	return path
}

// literalBeginning returns a beginning that every path has which a pattern matches.
func literalBeginning(pattern string) string {
	if strings.Contains(pattern, "|") {
		return ""
	}
	end := strings.IndexFunc(pattern, func(c rune) bool { return !strings.ContainsRune(letters+"/_-", c) })
	switch {
	case end < 0:
		return pattern
	case end > 0 && strings.IndexByte("*?{", pattern[end]) >= 0:
		end-- // the character before may be missing
	}
	return pattern[:end]
}

// weight returns how many kinds of conditions the route has: Kong tries the routes with most first.
func (e *element) weight() (n int) {
	for _, has := range []bool{len(e.methods) > 0, len(e.paths) > 0, len(e.hosts) > 0 || e.byHost > 0, e.headers > 0} {
		if has {
			n++
		}
	}
	return n + len(e.more)
}

// beats reports whether Kong surely takes this element for a request that both match. It has no
// patterns, and no conditions but its method, path and host.
func (e *element) beats(o *element) bool {
	if mine, others := e.weight(), o.weight(); mine != others || o.expressed {
		return mine > others && !o.expressed
	}
	return o.exact && len(o.conditions()) == 0 && e.byHost == o.byHost && len(e.path) > o.longest
}
