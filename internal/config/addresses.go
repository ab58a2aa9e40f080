package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/ports"
)

// addresses reads which addresses a port accepts.
func (p *parser) addresses(n *yaml.Node) ports.Addresses {
	var out ports.Addresses
	if n == nil {
		return out
	}
	m := p.Map(n, "addresses", "allow", "deny")
	if n.Kind != yaml.MappingNode {
		return out // reported by Map
	}
	lines := map[netip.Prefix]int{}
	out.Allow = p.ranges(m["allow"], "allow", "every address would be refused", lines)
	out.Deny = p.ranges(m["deny"], "deny", "nothing would be refused", lines)
	if m["allow"] == nil && m["deny"] == nil {
		p.Say(n, "addresses has neither allow nor deny", "add allow: [10.0.0.0/8] or deny: [10.9.0.0/16]; for every address write allow: [0.0.0.0/0, \"::/0\"]")
	}
	return out
}

// proxyProtocol reads the addresses of the proxies that send a PROXY header.
func (p *parser) proxyProtocol(n *yaml.Node) []netip.Prefix {
	if n == nil {
		return nil
	}
	m := p.Map(n, "proxy_protocol", "from")
	if n.Kind == yaml.MappingNode && m["from"] == nil {
		p.Say(n, "proxy_protocol has no from", "add from: [10.0.0.0/8] with the addresses of your proxies: from them the header is required, from all others refused")
	}
	return p.ranges(m["from"], "from", "no header would be read", map[netip.Prefix]int{})
}

// ranges reads a list of CIDR ranges, each of them once in lines. empty explains what an empty list
// would mean.
func (p *parser) ranges(n *yaml.Node, key, empty string, lines map[netip.Prefix]int) []netip.Prefix {
	if n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.Say(n, key+" is empty: "+empty, "add ranges such as 10.0.0.0/8, or remove the key")
	}
	var out []netip.Prefix
	for _, one := range p.scalars(n, key) {
		r, what, hint := parseRange(one.Value)
		line, twice := lines[r]
		switch {
		case what != "":
			p.Say(one.node, fmt.Sprintf("%s: %q %s", key, one.Value, what), hint)
		case twice:
			p.Say(one.node, fmt.Sprintf("%s: %s is listed twice", key, r), fmt.Sprintf("it is in line %d already: remove one", line))
		default:
			lines[r] = one.Line()
			out = append(out, r)
		}
	}
	return out
}

const rangeHint = "write a range such as 10.0.0.0/8 or 2001:db8::/32"

// parseRange reads a range in CIDR notation (RFC 4632 section 3.1, RFC 4291 section 2.3). what
// is not empty if the text is none.
func parseRange(text string) (r netip.Prefix, what, hint string) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() != "" {
		return r, "has a zone", "leave it out: zones are not compared"
	} else if err == nil {
		ip = ip.Unmap()
		return r, "is an address, and not a range", fmt.Sprintf("for this address alone write %s/%d", ip, ip.BitLen())
	}
	r, err := netip.ParsePrefix(text)
	switch {
	case err == nil && r.Addr().Is4In6() && r.Bits() >= 96:
		return r, "is IPv4 written as IPv6", "write " + netip.PrefixFrom(r.Addr().Unmap(), r.Bits()-96).Masked().String()
	case err == nil && r.Addr().Is4In6():
		return r, "is IPv4 written as IPv6", "write 0.0.0.0/0 for all IPv4 addresses"
	case err == nil && r != r.Masked():
		return r, "has bits beyond its length", fmt.Sprintf("write %s, or %s/%d for one address", r.Masked(), r.Addr(), r.Addr().BitLen())
	case err == nil:
		return r, "", ""
	}
	address, length, _ := strings.Cut(text, "/")
	ip, addressErr := netip.ParseAddr(address)
	switch mask, maskErr := netip.ParseAddr(length); {
	case addressErr == nil && maskErr == nil && mask.Is4() && ip.Is4():
		if bits, ok := maskLength(mask); ok {
			return r, "is not in CIDR notation", "write " + netip.PrefixFrom(ip, bits).Masked().String()
		}
	case addressErr == nil:
		return r, "is not in CIDR notation", fmt.Sprintf("the length is 0 to %d: %s", ip.BitLen(), rangeHint)
	case strings.ContainsFunc(text, func(c rune) bool { return c >= 'g' && c <= 'z' || c >= 'G' && c <= 'Z' }):
		return r, "is not a range of addresses", "names are not looked up, because a name that cannot be resolved would open the port: " + rangeHint
	}
	return r, "is not in CIDR notation", rangeHint
}

// maskLength returns the length of a mask such as 255.255.0.0.
func maskLength(mask netip.Addr) (bits int, ok bool) {
	octets := mask.As4()
	text := fmt.Sprintf("%08b%08b%08b%08b", octets[0], octets[1], octets[2], octets[3])
	bits = strings.Count(text, "1")
	return bits, !slices.Contains([]byte(text[:bits]), '0')
}
