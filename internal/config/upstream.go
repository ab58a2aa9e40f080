package config

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/configname"
)

// Upstream is the service behind a port: the requests that the guard allows go there.
type Upstream struct {
	Position
	URL         string // as written
	Scheme      string // http, h2c or https
	Host        string // HOST:PORT; empty for a socket
	Socket      Scalar // the path of a unix socket
	Headers     UpstreamHeaders
	Timeout     time.Duration // for a connection, and for the head of an answer
	Idle        time.Duration // between two bytes of a request or an answer, in either direction
	Retries     int
	Requests    int // at one time
	CallerShare int // percent of Requests that one caller may have; 0: the default
	Upgrades    []string
	Health      string // a path; empty: nothing is checked
	Anchors     []Scalar
	Cert, Key   Scalar
	Forgeable   bool // the file accepts that the headers can be forged on the network
	Invalid     bool // it has errors, all of them reported
}

// UpstreamHeaders are the names of the headers that carry the caller; empty ones are not sent.
type UpstreamHeaders struct {
	User, Groups, Certificate string
	Signed                    string // a token; off by default
}

// Defaults of an upstream.
const (
	defaultTimeout  = 30 * time.Second
	defaultIdle     = 5 * time.Minute
	defaultRequests = 1000
	maxRetries      = 10
)

const urlHint = "write http://127.0.0.1:8080, h2c://127.0.0.1:50051, unix:/run/orders.sock or https://orders.internal.example:8443"

// upstream reads where the requests of a port go.
func (p *parser) upstream(out *Port, n *yaml.Node) {
	if n == nil || out.Registration != nil { // reported by registration
		return
	}
	u := &Upstream{Position: Position{n}}
	out.Upstream = u
	before := p.Wrong.Len()
	defer func() { u.Invalid = p.Wrong.Len() > before }()
	m := p.Map(n, "upstream", "url", "headers", "timeout", "idle", "retries", "requests", "caller_share", "upgrades", "health", "anchors", "certificate", "forgeable_headers")
	if n.Kind != yaml.MappingNode {
		return // reported by Map
	}
	if u.URL = p.Text(m["url"], "url"); m["url"] == nil {
		p.Say(n, "upstream has no url", urlHint)
	} else if m["url"].Kind == yaml.ScalarNode {
		p.upstreamURL(u, m["url"])
	}
	p.upstreamHeaders(u, m["headers"])
	const least = time.Millisecond
	u.Timeout = p.duration(m["timeout"], "timeout", least, defaultTimeout)
	u.Idle = p.duration(m["idle"], "idle", least, max(defaultIdle, u.Timeout))
	if u.Idle > 0 && u.Idle < u.Timeout {
		p.Say(m["idle"], fmt.Sprintf("idle: %s is shorter than timeout, %s: an answer would be given up before its time", u.Idle, u.Timeout), "set timeout to at most idle")
	}
	u.Retries = 1
	if m["retries"] != nil {
		u.Retries = p.Int(m["retries"], "retries", 0, 0)
	}
	if u.Retries > maxRetries {
		p.Say(m["retries"], fmt.Sprintf("retries: %d is too many", u.Retries), fmt.Sprintf("use at most %d", maxRetries))
	}
	u.Requests = cmp.Or(p.count(m["requests"], "requests", 1), defaultRequests)
	u.CallerShare = p.callerShare(m["caller_share"])
	for _, one := range p.scalars(m["upgrades"], "upgrades") {
		switch name := strings.ToLower(one.Value); {
		case name == "h2c" || strings.HasPrefix(name, "http/"):
			p.Say(one.node, fmt.Sprintf("upgrades: %q would carry requests that no policy sees", one.Value), "remove it; for an upstream that speaks HTTP/2 without TLS write url: h2c://HOST:PORT")
		case !configname.ValidService(one.Value):
			p.Say(one.node, fmt.Sprintf("upgrades: %q is not a protocol", one.Value), "write protocol names, such as [websocket]")
		default:
			u.Upgrades = append(u.Upgrades, name)
		}
	}
	if len(u.Upgrades) > 0 && u.Scheme == "h2c" {
		p.Say(m["upgrades"], "upgrades has no effect with h2c: HTTP/2 has no upgrades", "remove it, or use http")
	}
	if u.Health = p.Text(m["health"], "health"); u.Health != "" && !isPath(u.Health) {
		p.Say(m["health"], fmt.Sprintf("health: %q is not a path", u.Health), "write a path such as /healthz")
	}
	p.upstreamTLS(u, n, m)
	p.upstreamNetwork(u, m)
}

// upstreamURL reads the scheme and the address.
func (p *parser) upstreamURL(u *Upstream, n *yaml.Node) {
	fail := func(what, hint string) {
		p.Say(n, fmt.Sprintf("url: %q %s", u.URL, what), hint)
		u.Scheme = ""
	}
	for prefix, scheme := range map[string]string{"unix:": "http", "unix+h2c:": "h2c"} {
		if path, ok := strings.CutPrefix(u.URL, prefix); ok {
			u.Scheme, u.Socket = scheme, Scalar{Position{n}, path}
			if path == "" || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "?#\x00") {
				fail("has no path of a socket", "write unix:/run/orders.sock")
			}
			return
		}
	}
	parsed, err := url.Parse(u.URL)
	if err != nil || parsed.Host == "" || parsed.Opaque != "" {
		fail("is not a URL", urlHint)
		return
	}
	port := map[string]string{"http": "80", "h2c": "80", "https": "443"}[parsed.Scheme]
	if port == "" {
		fail(fmt.Sprintf("has the scheme %q", parsed.Scheme), "use http, h2c, https, unix or unix+h2c")
		return
	}
	u.Scheme, u.Host = parsed.Scheme, net.JoinHostPort(parsed.Hostname(), cmp.Or(parsed.Port(), port))
	switch {
	case parsed.User != nil:
		fail("has a user", "remove it: the caller is in the headers")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" || strings.Contains(u.URL, "#"):
		fail("has a query or a fragment", "remove it: the caller's request has its own")
	case parsed.Path != "" && parsed.Path != "/":
		fail("has a path", "remove it: the path that is authorized is the path that is served")
	case parsed.Hostname() == "":
		fail("has no host", urlHint)
	}
	if number, err := strconv.Atoi(cmp.Or(parsed.Port(), port)); err != nil || number < 1 || number > 65535 {
		fail("has no valid port", urlHint)
	}
}

// upstreamTLS reads how the upstream is verified, and the client certificate that is presented to
// it.
func (p *parser) upstreamTLS(u *Upstream, n *yaml.Node, m map[string]*yaml.Node) {
	u.Anchors = p.scalars(m["anchors"], "anchors")
	if c := m["certificate"]; c != nil {
		k := p.Map(c, "certificate", "cert", "key")
		if u.Cert, u.Key = p.scalar(k["cert"], "cert"), p.scalar(k["key"], "key"); u.Cert.Value == "" || u.Key.Value == "" {
			p.Say(c, "certificate of upstream needs both cert and key", "add cert: FILE and key: FILE")
		}
	}
	if u.Scheme == "https" {
		if len(u.Anchors) == 0 {
			p.Say(at(m["anchors"], n), "upstream has no anchors: the service cannot be verified", "add anchors: [FILE] with the CA of the service; the system's authorities are never used")
		}
		return
	}
	for _, key := range []string{"anchors", "certificate"} {
		if m[key] != nil {
			p.Say(m[key], key+" has no effect without https", "write url: https://HOST:PORT, or remove "+key)
		}
	}
}

// upstreamNetwork rejects a service that others on the network could reach, or take the place
// of: plain headers name a user to it, and any client that can connect to it can send such headers.
func (p *parser) upstreamNetwork(u *Upstream, m map[string]*yaml.Node) {
	u.Forgeable = p.Bool(m["forgeable_headers"], "forgeable_headers", false)
	private := u.Scheme == "https" || u.Socket.Value != "" || isLoopback(u.Host)
	switch {
	case u.Scheme == "": // reported before
	case !private && !u.Forgeable && u.Headers != UpstreamHeaders{}:
		p.Say(m["url"], fmt.Sprintf("url: %q is plain HTTP over the network: any client there that can connect to the service can forge the headers that name the caller", u.URL),
			"use https with anchors and certificate, a unix socket, or a loopback address; forgeable_headers: true accepts it, if a firewall lets this machine alone connect")
	case private && u.Forgeable:
		p.Say(m["forgeable_headers"], "forgeable_headers: true has no effect: the headers do not cross the network in plain", "remove it")
	}
}

// isLoopback reports whether an address is one of this machine alone. Names are not looked up.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost"))
}

// isPath reports whether a text is the path of a request, with or without a query.
func isPath(text string) bool {
	u, err := url.ParseRequestURI(text)
	return err == nil && strings.HasPrefix(text, "/") && !strings.HasPrefix(text, "//") && u.Host == "" && !strings.Contains(text, "#")
}

// Names returns the names of the headers that are sent.
func (h UpstreamHeaders) Names() []string {
	return slices.DeleteFunc([]string{h.User, h.Groups, h.Certificate, h.Signed}, func(name string) bool { return name == "" })
}
