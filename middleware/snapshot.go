package middleware

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
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

// snapshot is a compiled Config. It never changes.
type snapshot struct {
	Config
	comparable      bool           // Map can be compared with the source of an answer; see mayReuse
	source          certmap.Source // Map, where its answers may be reused at all
	groups          interface{ Groups(string) []string }
	fixedGroups     bool // a user's groups do not change while the snapshot is in effect
	others          *port
	ports           map[string]*port
	identityHeaders map[string]bool // folded names, beyond the built-in list
	forwards        bool            // a port has gateways
	quotas          *quotas         // nil: none
	guard           *Guard          // nil until Reconfigure has accepted the snapshot
}

// port is a compiled PortConfig.
type port struct {
	PortConfig
	methods    map[string]bool // beyond the seven that every port knows
	names      map[string]bool
	challenges []string
	vary       string
	callers    *expire.Cache[*memo] // behind gateways and through tunnels, by callerKey
}

// servedElsewhere reports whether another program may serve the port's requests: the handler of
// the port, which may be a proxy, or a gateway that asks.
func (p *port) servedElsewhere() bool { return p.Handler != nil || p.ForwardAuth != nil }

// Bounds of what a port remembers of certificates that gateways forward.
const (
	maxCallers     = 4096
	maxCallerBytes = 32 << 20
	callerTime     = 10 * time.Minute
)

// compile compiles a Config. previous is the snapshot in effect, or nil: its quotas go on
// counting.
func compile(c Config, previous *snapshot) (*snapshot, error) {
	s := &snapshot{Config: c, ports: make(map[string]*port, len(c.PerPort)), identityHeaders: map[string]bool{}}
	var wrong errorlist.List
	if c.Map == nil {
		wrong.Add(configerror.Error{What: "Config.Map is nil", Hint: "build one with certmap.New"})
	}
	if c.Policy == nil {
		wrong.Add(configerror.Error{What: "Config.Policy is nil", Hint: "build one with policy.New"})
	}
	s.comparable = c.Map != nil && reflect.TypeOf(c.Map).Comparable()
	s.source, _ = c.Map.(certmap.Source)
	s.groups, _ = c.Policy.(interface{ Groups(string) []string })
	s.fixedGroups = s.groups == nil || hasFixedGroups(c.Policy)
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
			s.identityHeaders[idheader.Fold(h)] = true // on every port: a client of another port could send it
		}
	}
	for _, h := range c.IdentityHeaders {
		s.identityHeaders[idheader.Fold(h)] = true
	}
	var counted *quotas
	if previous != nil {
		counted = previous.quotas
	}
	s.quotas = compileQuotas(&wrong, c, s.groups != nil || c.Policy == nil, counted)
	return s, wrong.Err()
}

func compilePort(wrong *errorlist.List, where string, pc PortConfig) *port {
	fail := func(what, hint string) { wrong.Add(configerror.Error{What: where + what, Hint: hint}) }
	pc.Authenticators = slices.Clone(pc.Authenticators) // the caller's slice may change
	p := &port{PortConfig: pc, methods: map[string]bool{}, callers: expire.NewSized[*memo](maxCallers, maxCallerBytes, callerTime)}
	if pc.Fallback != Strict && pc.Fallback != ToDefault {
		fail(".Fallback is neither Strict nor ToDefault", "")
	}
	switch {
	case pc.Unmapped == "":
	case pc.Unmapped == identity.Default:
		if pc.Fallback == Strict {
			fail(".Unmapped is Default, and Fallback is Strict", "name a user, or set Fallback to ToDefault")
		}
	case !username.IsUser(pc.Unmapped):
		fail(fmt.Sprintf(".Unmapped: %q is not a user name", pc.Unmapped), username.Hint+"; "+username.ReservedHint)
	}
	for _, m := range pc.Methods {
		if !method.Valid(m) {
			fail(fmt.Sprintf(".Methods: %q is not a method", m), method.Hint)
		}
		p.methods[m] = true
	}
	if pc.Trust != nil && pc.Trust.Usage() != trust.UsageClient {
		fail(".Trust verifies certificates for "+pc.Trust.Usage().String(), "users are clients: set trust.Config.Usage to UsageClient")
	}
	if pc.Forwarded != nil {
		if u := pc.Forwarded.GatewayTrust().Usage(); u != trust.UsageClient {
			fail(".Forwarded verifies gateways for "+u.String(), "a gateway is a client of the port: set trust.Config.Usage to UsageClient")
		}
		p.vary = strings.Join(pc.Forwarded.Headers(), ", ")
	}
	if f := pc.ForwardAuth; f != nil {
		f.check(&pc, fail)
		own := *f // the caller's may change
		p.ForwardAuth = &own
	}
	for i, a := range pc.Authenticators {
		if a == nil {
			fail(fmt.Sprintf(".Authenticators[%d] is nil", i), "")
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
			fail(fmt.Sprintf(".ServerNames: %q is not a host name", n), hostname.HintFor(n))
		}
		p.names[name] = true
	}
	return p
}

// knows reports whether the port accepts a method.
func (p *port) knows(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return true
	}
	return p.methods[method]
}

// portOf returns the settings for a connection's port: from the connection's memo if it has one.
func (s *snapshot) portOf(c connstate.Conn) *port {
	if m, ok := c.Memo().(*memo); ok && m.snapshot == s && m.port != nil {
		return m.port
	}
	return s.portNamed(c.Port().Name())
}

// portNamed returns the settings for a port.
func (s *snapshot) portNamed(name string) *port {
	if p, ok := s.ports[name]; ok {
		return p
	}
	return s.others
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
