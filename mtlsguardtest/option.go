package mtlsguardtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Option changes the server of NewServer.
type Option func(*setup)

// setup is the configuration of a Server before it is opened.
type setup struct {
	policy  string
	members strings.Builder // lines for the policy
	port    string
	mode    ports.ClientAuth
	strict  bool
	config  string // a whole mtlsguard.yaml; "": one is written
	files   map[string]string
	options mtlsguard.Options
	serve   func(context.Context, *mtlsguard.Server) error

	startWithin, endWithin time.Duration // for the server to open its ports, and to end

	set map[string]bool // the options that were given
}

// allowUsers is the policy without WithPolicy.
const allowUsers = "p, group:Authenticated, *, *, /*, allow\n"

// WithPolicy sets the policy, as the content of policy.csv. Without it every named user may send
// every request.
func WithPolicy(csv string) Option {
	return func(s *setup) { s.policy, s.set["WithPolicy"] = csv, true }
}

// WithGroups puts a user into groups, in addition to those of the policy: it adds g lines to
// policy.csv.
func WithGroups(user string, groups ...string) Option {
	return func(s *setup) {
		s.set["WithGroups"] = true
		for _, group := range groups {
			fmt.Fprintf(&s.members, "g, user:%s, group:%s\n", user, group)
		}
	}
}

// WithPort sets the name of the port. Without it the name is internal.
func WithPort(name string) Option {
	return func(s *setup) { s.port, s.set["WithPort"] = name, true }
}

// WithClientAuth sets the mode of the port, client_cert. Without it the mode is ports.Require.
func WithClientAuth(mode ports.ClientAuth) Option {
	return func(s *setup) { s.mode, s.set["WithClientAuth"] = mode, true }
}

// WithStrict sets strict of the port. With false, a caller without a certificate is the user
// Default, for whom the policy needs a rule; use ports.Request with it. Without it strict is true.
func WithStrict(strict bool) Option {
	return func(s *setup) { s.strict, s.set["WithStrict"] = strict, true }
}

// WithConfig sets the whole mtlsguard.yaml, in place of the one that NewServer writes. It may name
// the files of PKI.WriteFiles and of WithFile, and policy.csv of WithPolicy. Each port listens on a
// free port of loopback in place of its listen, unless WithOptions has Options.Listen. The URL of the
// server is that of the first port; PortURL has the others.
func WithConfig(yaml string) Option {
	return func(s *setup) { s.config, s.set["WithConfig"] = yaml, true }
}

// WithFile adds a file for the configuration, or replaces one, such as a users.yaml. The certificates
// of clients then have to match its mappings; see WithTemplate.
func WithFile(name, content string) Option {
	return func(s *setup) { s.files[name] = content }
}

// WithOptions sets the options of mtlsguard.OpenFS: a Mapper or a Decider of the program,
// authenticators, Refuse. With Map the configuration names no users, with Policy no policy. A nil
// Log writes to the log of the test.
func WithOptions(options mtlsguard.Options) Option {
	return func(s *setup) { s.options = options }
}

// WithServe serves in the program's own way, in place of Server.Serve with the handler of
// NewServer, which must be nil then. It is for handlers that need the server, such as its guard,
// and for programs with an http.Server of their own. serve must open every port, and return when
// ctx ends.
func WithServe(serve func(ctx context.Context, server *mtlsguard.Server) error) Option {
	return func(s *setup) { s.serve, s.set["WithServe"] = serve, true }
}

func newSetup(options []Option) *setup {
	s := &setup{policy: allowUsers, port: "internal", mode: ports.Require, strict: true,
		startWithin: 10 * time.Second, endWithin: 30 * time.Second, files: map[string]string{}, set: map[string]bool{}}
	for _, option := range options {
		option(s)
	}
	return s
}

// check returns what is wrong with the options, or "".
func (s *setup) check(handler bool) string {
	for _, name := range []string{"WithPort", "WithClientAuth", "WithStrict"} {
		if s.set["WithConfig"] && s.set[name] {
			return name + " does not change the configuration of WithConfig: write name, client_cert and strict into its ports"
		}
	}
	for _, name := range []string{"WithPolicy", "WithGroups"} {
		if s.options.Policy != nil && s.set[name] {
			return name + " has no effect: Options.Policy decides in place of policy.csv. Remove one of the two"
		}
	}
	switch {
	case !handler && s.serve == nil:
		return "the handler is nil: pass the handler under test, or WithServe"
	case handler && s.serve != nil:
		return "the handler is never called: WithServe serves in its place. Pass nil, and let the function of WithServe serve it"
	}
	return ""
}

// yaml returns the content of mtlsguard.yaml.
func (s *setup) yaml() string {
	if s.set["WithConfig"] {
		return s.config
	}
	var b strings.Builder
	if s.options.Map == nil {
		b.WriteString("users: users.yaml\n")
	}
	if s.options.Policy == nil {
		b.WriteString("policy: policy.csv\n")
	}
	fmt.Fprintf(&b, "reload: 0\nports:\n  - name: %q\n    listen: 127.0.0.1:0\n    client_cert: %s\n    strict: %t\n", s.port, s.mode, s.strict)
	if s.options.Certificates[s.port] == nil {
		b.WriteString("    certificate: {cert: server.pem, key: server-key.pem}\n")
	}
	if s.mode != ports.None {
		b.WriteString("    trust: {anchors: [client-ca.pem], crls: [client-ca.crl]}\n")
	}
	b.WriteString("    limits: {drain: 1s}\n") // streams that are open when the test ends do not hold it up
	return b.String()
}
