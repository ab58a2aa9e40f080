package mtlsguard

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

// ExplainUser returns what the current policy decides about a request of a user, whatever
// certificate the user has. It neither verifies nor maps anything: see Explain. The error is a
// port without users, or Options.Policy, which has nothing to explain.
func (s *Server) ExplainUser(user, port, method, path string) (policy.Explanation, error) {
	if s.options.Policy != nil {
		return policy.Explanation{}, &configerror.Error{What: "the policy is the program's own, not a file", Hint: "explain a request with its certificate"}
	}
	g := s.currentGeneration()
	for _, p := range g.AllPorts() {
		if p.Config.Name == port && p.Authorizes() {
			return g.Engine.Explain(policy.Request{User: user, Port: port, Method: method, Path: path}), nil
		}
	}
	return policy.Explanation{}, &configerror.Error{What: fmt.Sprintf("there is no port %q that identifies users", port), Hint: "use the name of another port"}
}
