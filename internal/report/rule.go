package report

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/policy"
)

// RuleLine returns the line of a policy that allows exactly one request, and whether there is
// one: a rule cannot hold every path, and a method such as * would allow more.
func RuleLine(user, port, httpMethod, path string) (string, bool) {
	path, ok := rulePath(path)
	if !ok || !method.Valid(httpMethod) {
		return "", false
	}
	return strings.Join([]string{"p", "user:" + user, port, httpMethod, path, policy.Allow}, ", "), true
}

// rulePath returns a path as a rule writes it, and whether a rule can hold it.
func rulePath(path string) (string, bool) {
	if strings.ContainsAny(path, `,{}*"`) && path != "*" || strings.TrimSpace(path) != path || escape.Printable(path, 0) != path {
		return "", false
	}
	return path, true
}
