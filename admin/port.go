package admin

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// apiPort is a port as the API lists it.
type apiPort struct {
	Name         string                   `json:"name"`
	Listen       string                   `json:"listen,omitempty"`
	Address      string                   `json:"address,omitempty"`     // where it listens
	ClientCert   string                   `json:"client_cert,omitempty"` // none, request or require
	Strict       bool                     `json:"strict"`
	Unmapped     string                   `json:"unmapped,omitempty"`
	MinVersion   string                   `json:"min_version,omitempty"`
	State        string                   `json:"state"` // open, draining or closed
	Connections  int                      `json:"connections"`
	Limit        int                      `json:"limit,omitempty"` // of connections
	Allowed      uint64                   `json:"allowed"`
	Refused      map[reason.Reason]uint64 `json:"refused,omitempty"`
	Handshakes   map[reason.Reason]uint64 `json:"handshakes,omitempty"` // refused ones
	Failed       uint64                   `json:"failed"`               // handshakes
	Certificate  *report.Certificate      `json:"certificate,omitempty"`
	FreshUntil   string                   `json:"fresh_until,omitempty"`
	Trust        []apiTrust               `json:"trust,omitempty"`
	Forwarded    *apiForwarded            `json:"forwarded,omitempty"`
	ServerNames  []string                 `json:"server_names,omitempty"`
	Methods      []string                 `json:"methods,omitempty"`
	Registration bool                     `json:"registration,omitempty"`
	Tunnel       bool                     `json:"tunnel,omitempty"`
	Limits       []apiLimit               `json:"limits,omitempty"`
}

// apiForwarded describes the gateways of a port.
type apiForwarded struct {
	Format   string   `json:"format,omitempty"`
	Headers  []string `json:"headers,omitempty"`
	Gateways []string `json:"gateways,omitempty"` // names, fingerprints, or addresses that are dialled
}

// apiLimit is a limit of a port.
type apiLimit struct {
	Name    string `json:"name"` // as in mtlsguard.yaml
	Value   string `json:"value"`
	Default bool   `json:"default"` // the file does not set it
}

// allPorts returns the ports, in the order of the file.
func (c *call) allPorts() []apiPort {
	status := c.server.Status()
	counts := map[string]mtlsguard.PortStatus{}
	for _, p := range status.Ports {
		counts[p.Name] = p
	}
	out := []apiPort{}
	for _, p := range c.server.PortInfos() {
		out = append(out, newPort(&p, counts[p.Name]))
	}
	return out
}

func newPort(p *mtlsguard.PortInfo, s mtlsguard.PortStatus) apiPort {
	out := apiPort{
		Name: p.Name, Listen: p.Listen, Address: netAddress(p.Addr), Strict: p.Strict, Unmapped: p.Unmapped, State: "closed",
		Connections: s.Connections, Limit: p.Limits.Connections, Allowed: s.Allowed, Refused: s.Refused, Handshakes: s.Handshakes, Failed: s.Failed,
		FreshUntil: optionalTime(s.FreshUntil), ServerNames: p.ServerNames, Methods: p.Methods, Registration: p.Registration, Tunnel: p.Tunnel,
		Trust: newTrusts(p.Trusts), Limits: newLimits(p),
	}
	switch {
	case p.Open:
		out.State = "open"
	case p.Draining:
		out.State = "draining"
	}
	if p.ClientAuth != 0 {
		out.ClientCert = p.ClientAuth.String()
	}
	if p.MinVersion != 0 {
		out.MinVersion = tls.VersionName(p.MinVersion)
	}
	if len(p.Certificate) > 0 {
		out.Certificate = report.NewCertificate(p.Certificate[0])
	}
	if g := p.Gateways; g != nil {
		out.Forwarded = &apiForwarded{Format: g.Format, Headers: g.Headers, Gateways: slices.Concat(g.Names, g.Addrs)}
		for _, pin := range g.Pins {
			out.Forwarded.Gateways = append(out.Forwarded.Gateways, pin.String())
		}
	}
	return out
}

// newLimits returns the limits of a port, in the order of the documentation.
func newLimits(p *mtlsguard.PortInfo) []apiLimit {
	if p.Limits == (ports.Limits{}) {
		return nil
	}
	var out []apiLimit
	duration := func(name string, v, set time.Duration) {
		text := v.String()
		if v <= 0 {
			text = "none"
		}
		out = append(out, apiLimit{name, text, set == 0})
	}
	count := func(name string, v, set int) { out = append(out, apiLimit{name, strconv.Itoa(v), set == 0}) }
	v, set := p.Limits, p.LimitsInFile
	duration("handshake", v.Handshake, set.Handshake)
	count("handshakes", v.Handshakes, set.Handshakes)
	count("connections", v.Connections, set.Connections)
	count("connections_per_ip", v.PerIP, set.PerIP)
	count("header_bytes", v.HeaderBytes, set.HeaderBytes)
	duration("headers", v.Headers, set.Headers)
	duration("idle", v.Idle, set.Idle)
	duration("request", v.Request, set.Request)
	count("streams", v.Streams, set.Streams)
	duration("connection_age", v.ConnectionAge, set.ConnectionAge)
	duration("drain", v.Drain, set.Drain)
	return out
}

// listPorts answers with all ports.
func (c *call) listPorts() (any, error) { return c.allPorts(), nil }

// port answers with the port that the path names.
func (c *call) port() (any, error) {
	name := c.PathValue("name")
	for _, p := range c.allPorts() {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, notFound(fmt.Sprintf("there is no port %s", escape.Quote(name, escape.Short)), "/api/v1/ports lists them")
}

// portView is the screen of one port.
type portView struct {
	apiPort
	Counts   []count
	Mappings []apiMapping // that name the port
}

// count is the number of refusals for a reason.
type count struct {
	Stage  string
	Reason reason.Reason
	N      uint64
}

func (c *call) portScreen() (any, error) {
	p, err := c.port()
	if err != nil {
		return nil, err
	}
	v := &portView{apiPort: p.(apiPort)}
	for stage, counts := range map[string]map[reason.Reason]uint64{"handshake": v.Handshakes, "request": v.Refused} {
		for r, n := range counts {
			v.Counts = append(v.Counts, count{stage, r, n})
		}
	}
	slices.SortFunc(v.Counts, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Stage+string(a.Reason), b.Stage+string(b.Reason)))
	})
	f := mappingFilter{port: v.Name, limit: defaultLimit}
	v.Mappings, _ = c.mappings(&f)
	return v, nil
}

func netAddress(a net.Addr) string {
	if a == nil {
		return ""
	}
	return escape.Printable(a.String(), 0)
}

// optionalTime returns a time for a report; a zero time is "".
func optionalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return report.Time(t)
}
