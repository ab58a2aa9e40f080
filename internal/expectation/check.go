package expectation

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// usualMethods are the methods that every port knows.
var usualMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Site is what the rows of a table can name.
type Site struct {
	Ports   []string                   // nil: every name is a port
	Methods func(port string) []string // the additional methods of a port; nil: none. Without Ports it is asked for each
}

// Check returns the errors in rows that no request can match. Such a row would always be
// refused: with deny it would pass without testing anything.
func Check(name string, rows []Row, s Site) error {
	var errs errorlist.List
	for _, r := range rows {
		for _, check := range []func(Row) (what, hint string){checkUser, s.checkPort, s.checkMethod, checkPath} {
			if what, hint := check(r); what != "" {
				errs.Add(configerror.Error{File: name, Line: r.Line, What: what, Hint: hint})
			}
		}
	}
	return errs.Err()
}

func checkUser(r Row) (what, hint string) {
	user := r.User
	reserved := username.Canonical(user)
	switch {
	case user == identity.Default, username.IsUser(user):
		return "", ""
	case strings.HasPrefix(user, "user:") && username.IsName(user[len("user:"):]):
		return fmt.Sprintf("%q is not a user", user), "a row names the user alone: " + user[len("user:"):]
	case strings.HasPrefix(user, "group:"):
		return fmt.Sprintf("%q is a group: a request has a user", user), "name a user who is a member"
	case reserved == identity.Default:
		return fmt.Sprintf("%q is not a user", user), "the anonymous user is Default"
	case reserved != "":
		return fmt.Sprintf("%q is a group: a request has a user", user), "name a user who is a member; the anonymous user is Default"
	}
	return fmt.Sprintf("%q is not a user name", user), username.Hint
}

func (s Site) checkPort(r Row) (what, hint string) {
	if r.Port == "*" || s.Ports == nil || slices.Contains(s.Ports, r.Port) {
		return "", ""
	}
	return fmt.Sprintf("there is no port %q", r.Port), "* is every port; ports are: " + strings.Join(s.Ports, ", ")
}

// methodsOf returns the methods of a row's port. The port * has those of every port.
func (s Site) methodsOf(port string) []string {
	out := slices.Clone(usualMethods)
	if s.Ports == nil && s.Methods != nil {
		return append(out, s.Methods(port)...)
	}
	for _, p := range s.Ports {
		if s.Methods != nil && (port == "*" || port == p) {
			out = append(out, s.Methods(p)...)
		}
	}
	return out
}

func (s Site) checkMethod(r Row) (what, hint string) {
	known := s.methodsOf(r.Port)
	if slices.Contains(known, r.Method) {
		return "", ""
	}
	what = fmt.Sprintf("%q is not a method", r.Method)
	switch upper := strings.ToUpper(r.Method); {
	case slices.Contains(known, upper):
		return what, "write " + upper + ": methods are case-sensitive"
	case strings.ContainsAny(r.Method, "|*"):
		return what, "a request has one method: write a row for each"
	case slices.Contains(s.methodsOf("*"), r.Method):
		return fmt.Sprintf("port %s does not have the method %q", r.Port, r.Method), "list it in the methods of the port, or name another port"
	}
	return what, "known are " + strings.Join(known, " ")
}

func checkPath(r Row) (what, hint string) {
	p := r.Path
	what = fmt.Sprintf("%q is not the path of a request", p)
	switch {
	case p == "*" && r.Method == "OPTIONS":
		return "", ""
	case p == "*":
		return what, "only OPTIONS has the path *"
	case !strings.HasPrefix(p, "/"):
		if _, rest, ok := strings.Cut(p, "://"); ok {
			_, rest, _ = strings.Cut(rest, "/")
			p = rest
		}
		return what, "a path begins with a slash: /" + strings.TrimLeft(p, "/")
	case strings.ContainsAny(p, "?#"):
		return what, "the query and the fragment never count: " + p[:strings.IndexAny(p, "?#")]
	case strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }):
		return what, "such a path is refused with ambiguous-path before the policy decides"
	case path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/":
		return what, "such a path is refused with ambiguous-path before the policy decides: write " + path.Clean(p)
	case escapes(p):
		return what, `paths are compared decoded: write the character itself, in quotes if it is a blank: "/a b"`
	}
	return "", ""
}

// escapes reports whether a path has a percent escape.
func escapes(p string) bool {
	const hex = "0123456789abcdefABCDEF"
	for i := 0; i+2 < len(p); i++ {
		if p[i] == '%' && strings.IndexByte(hex, p[i+1]) >= 0 && strings.IndexByte(hex, p[i+2]) >= 0 {
			return true
		}
	}
	return false
}
