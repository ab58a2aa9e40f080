package middleware

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/expire"
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/internal/idheader"
	"github.com/mtlsguard/mtlsguard/internal/method"
	"github.com/mtlsguard/mtlsguard/internal/shadow"
	"github.com/mtlsguard/mtlsguard/internal/username"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Fallback is what becomes of a request without a certificate.
type Fallback int

const (
	// Strict refuses it. It is the zero value.
	Strict Fallback = iota
	// ToDefault makes it the user Default's, for whom the policy decides.
	ToDefault
)

// Config is what a Guard is built from. Map and Policy are needed.
type Config struct {
	// Map names the user of a certificate. It is asked for every request, unless its
	// answers say that they may be reused; see certmap.Match.
	Map certmap.Mapper
	// Policy decides. One with a method Groups(user string) []string fills in
	// Identity.Groups.
	Policy policy.Decider

	// PortConfig is for every port that PerPort does not name.
	PortConfig
	// PerPort is by the name of the port. A port named here takes nothing from the
	// embedded PortConfig.
	PerPort map[string]PortConfig
	// Ports are the names of all ports and tunnels that the guard serves; see CheckPorts.
	// nil: those of the ports.Server that serves the guard's handler. A program that has
	// several servers for one guard names them here.
	Ports []string

	// IdentityHeaders are deleted from every request, beyond the built-in list.
	IdentityHeaders []string
	// Refuse answers a refused request; nil answers with a problem document.
	Refuse func(http.ResponseWriter, *http.Request, Outcome)
	// Observe is told of every decision before it is carried out. It must not block.
	Observe func(*http.Request, Outcome)
	// Time measures Outcome.Duration. It reads the clock twice a request.
	Time bool
	// Debug puts the whole explanation into refusals: rules, users and all.
	Debug bool
	// Generation is repeated in every Outcome.
	Generation uint64
}

// PortConfig is the configuration of a port. The zero value is strict.
type PortConfig struct {
	Trust          *trust.Verifier // verifies the connection's certificate; nil: the port's own
	Fallback       Fallback        // 0 means Strict
	Unmapped       string          // the user for trusted certificates that no mapping matches; empty refuses them
	Methods        []string        // known beyond GET HEAD POST PUT PATCH DELETE OPTIONS
	Authenticators []Authenticator // asked in order when no certificate was sent
	ServerNames    []string        // SNI and Host must be one of these; empty: any
	// Forwarded reads the certificates that gateways state. With it the connection's
	// own certificate is a gateway's or nobody's, and Trust does not count.
	Forwarded *forwarded.Receiver
}

// snapshot is a compiled Config: one generation, one pointer, never changed.
type snapshot struct {
	Config
	reusable  bool           // answers of Map may be compared with Map, to see whether they may be reused
	source    certmap.Source // Map, where its answers may be reused at all
	grouped   interface{ Groups(string) []string }
	steady    bool // a user's groups stay the same while this snapshot does; else they are asked for every request
	others    *port
	ports     map[string]*port
	unwelcome map[string]bool // folded names of further identity headers
	forwards  bool            // a port has gateways
	guard     *Guard          // in whose effect it is
}

// port is a compiled PortConfig.
type port struct {
	PortConfig
	methods    map[string]bool // beyond the seven that every port knows
	names      map[string]bool
	challenges []string
	vary       string
	stated     *expire.Cache[*memo] // behind gateways and through tunnels: who the certificates are, by their fingerprints
}

// mostStated bounds what a port remembers of certificates that gateways state.
const (
	mostStated  = 4096
	statedBytes = 32 << 20
	statedTime  = 10 * time.Minute
)

// size estimates the memory that a memo holds on to: that of its certificates.
func (m *memo) size() int {
	n := 1 << 10
	for _, chain := range m.verified.Chains() {
		for _, c := range chain[:max(1, len(chain)-1)] { // the anchor is the verifier's
			n += 4<<10 + 2*len(c.Raw)
		}
	}
	return n
}

// hasFixedGroups reports whether the groups of every user stay the same as long as the
// policy is in use. A type that embeds one of these may change them.
func hasFixedGroups(d policy.Decider) bool {
	switch d.(type) {
	case *policy.Engine, *shadow.Policy:
		return true
	}
	return false
}

func compile(c Config) (*snapshot, error) {
	s := &snapshot{Config: c, ports: make(map[string]*port, len(c.PerPort)), unwelcome: map[string]bool{}}
	var wrong errorlist.List
	if c.Map == nil {
		wrong.Add(configerror.Error{What: "Config.Map is nil", Hint: "certmap.New says which certificate is which user"})
	}
	if c.Policy == nil {
		wrong.Add(configerror.Error{What: "Config.Policy is nil", Hint: "policy.New says what a user may do"})
	}
	s.reusable = c.Map != nil && reflect.TypeOf(c.Map).Comparable()
	s.source, _ = c.Map.(certmap.Source)
	s.grouped, _ = c.Policy.(interface{ Groups(string) []string })
	s.steady = s.grouped == nil || hasFixedGroups(c.Policy)
	s.others = compilePort(&wrong, "Config", c.PortConfig)
	for _, name := range slices.Sorted(maps.Keys(c.PerPort)) {
		s.ports[name] = compilePort(&wrong, fmt.Sprintf("PerPort[%q]", name), c.PerPort[name])
	}
	if c.Ports != nil {
		checkNamed(&wrong, c.PerPort, c.Ports)
	}
	for _, p := range append(slices.Collect(maps.Values(s.ports)), s.others) {
		if p.Forwarded == nil {
			continue
		}
		s.forwards = true
		for _, h := range p.Forwarded.Headers() {
			s.unwelcome[idheader.Fold(h)] = true // on every port: a client of another could state it
		}
	}
	for _, h := range c.IdentityHeaders {
		s.unwelcome[idheader.Fold(h)] = true
	}
	return s, wrong.Err()
}

func compilePort(wrong *errorlist.List, where string, pc PortConfig) *port {
	say := func(what, hint string) { wrong.Add(configerror.Error{What: where + what, Hint: hint}) }
	pc.Authenticators = slices.Clone(pc.Authenticators) // the caller's slice may change
	p := &port{PortConfig: pc, methods: map[string]bool{}, stated: expire.NewSized[*memo](mostStated, statedBytes, statedTime)}
	if pc.Fallback != Strict && pc.Fallback != ToDefault {
		say(".Fallback is neither Strict nor ToDefault", "")
	}
	switch {
	case pc.Unmapped == "":
	case pc.Unmapped == identity.Default:
		if pc.Fallback == Strict {
			say(".Unmapped is Default, and strict is on", "name a user, or take Fallback: ToDefault")
		}
	case !username.IsUser(pc.Unmapped):
		say(fmt.Sprintf(".Unmapped %q is no user name", pc.Unmapped), username.Hint+"; "+username.ReservedHint)
	}
	for _, m := range pc.Methods {
		if !method.Valid(m) {
			say(fmt.Sprintf(".Methods: %q is no method", m), method.Hint)
		}
		p.methods[m] = true
	}
	if pc.Trust != nil && pc.Trust.Usage() != trust.UsageClient {
		say(".Trust is for "+pc.Trust.Usage().String(), "a trust.Verifier of Usage ClientAuth: users are clients")
	}
	if pc.Forwarded != nil {
		if u := pc.Forwarded.GatewayTrust().Usage(); u != trust.UsageClient {
			say(".Forwarded judges gateways for "+u.String(), "a gateway that connects to a port is a client")
		}
		p.vary = strings.Join(pc.Forwarded.Headers(), ", ")
	}
	for i, a := range pc.Authenticators {
		if a == nil {
			say(fmt.Sprintf(".Authenticators[%d] is nil", i), "")
		} else if c, ok := a.(Challenger); ok {
			p.challenges = append(p.challenges, c.Challenge())
		}
	}
	for _, n := range pc.ServerNames {
		if p.names == nil {
			p.names = map[string]bool{}
		}
		name := hostname.Canonical(n)
		if hostname.HasPort(n) || !hostname.Valid(name) {
			say(fmt.Sprintf(".ServerNames: %q is not a host name", n), hostname.Hint)
		}
		p.names[name] = true
	}
	return p
}

// knows reports whether a method may be asked about on a port.
func (p *port) knows(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return p.methods[method]
}

// portOf returns the settings for a connection's port. The connection may remember.
func (s *snapshot) portOf(c connstate.Conn) *port {
	if m, ok := c.Memo().(*memo); ok && m.snapshot == s && m.port != nil {
		return m.port
	}
	return s.port(c.Port().Name())
}

// port returns the settings for a port.
func (s *snapshot) port(name string) *port {
	if p, ok := s.ports[name]; ok {
		return p
	}
	return s.others
}
