package config

import (
	"fmt"
	"math"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/ports"
)

// Upper bounds of limits. Beyond them sums and conversions in lower layers would overflow.
// defaultConnections is the default of ports.Limits.Connections.
const defaultConnections = 10_000

const (
	maxTime  = 10 * 365 * 24 * time.Hour
	maxCount = math.MaxInt32 / 2
)

func (p *parser) limits(n *yaml.Node) ports.Limits {
	var l ports.Limits
	if n == nil {
		return l
	}
	m := p.Map(n, "limits", "handshake", "handshakes", "connections", "connections_per_ip", "header_bytes", "headers", "idle",
		"request", "streams", "connection_age", "drain")
	const least = time.Millisecond
	l.Handshake = p.duration(m["handshake"], "handshake", least, 0)
	l.Handshakes = p.count(m["handshakes"], "handshakes", 1)
	l.Connections = p.count(m["connections"], "connections", 1)
	l.PerIP = p.count(m["connections_per_ip"], "connections_per_ip", 1)
	l.HeaderBytes = p.count(m["header_bytes"], "header_bytes", 4096)
	l.Headers = p.duration(m["headers"], "headers", least, 0)
	l.Idle = p.duration(m["idle"], "idle", least, 0)
	l.Request = p.duration(m["request"], "request", 0, 0)
	l.Streams = p.count(m["streams"], "streams", 1)
	l.ConnectionAge = p.duration(m["connection_age"], "connection_age", 0, 0)
	if m["connection_age"] != nil && l.ConnectionAge == 0 {
		l.ConnectionAge = -1 // 0 in the file: connections have no maximum age
	}
	l.Drain = p.duration(m["drain"], "drain", least, 0)
	return l
}

func (p *parser) duration(n *yaml.Node, name string, least, otherwise time.Duration) time.Duration {
	d := p.Duration(n, name, least, otherwise)
	if d > maxTime {
		p.Say(n, fmt.Sprintf("%s: %s is too long", name, d), fmt.Sprintf("use at most %s", maxTime))
	}
	return d
}

func (p *parser) count(n *yaml.Node, name string, least int) int {
	v := p.Int(n, name, least, 0)
	if v > maxCount {
		p.Say(n, fmt.Sprintf("%s: %d is too large", name, v), fmt.Sprintf("use at most %d", maxCount))
	}
	return v
}
