package forwarded

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// ClientIP is the header in which a gateway forwards the caller's IP address, such as
// X-Forwarded-For. It is for logs and handlers: an address is no identity, and this one is a
// claim of the gateway. The zero value reads none.
type ClientIP struct {
	// Header holds addresses, separated by commas. The gateway has to append to it, or to set
	// it: otherwise it holds what the caller sends. "" reads none.
	Header string
	// Hops is the place of the caller's address, counted from the end: 1, also when 0, is the entry
	// that the gateway itself has added, 2 the one of a proxy in front of it, and so on. Entries
	// further to the left may come from the caller.
	Hops int
}

const maxHops = 100

// check adds what is wrong with c.
func (c *ClientIP) check(t *Topology, wrong *errorlist.List) {
	report := func(what, hint string) { wrong.Add(configerror.Error{What: what, Hint: hint}) }
	const hint = "X-Forwarded-For, X-Real-IP, or another header with addresses that the gateway sets"
	written := c.Header
	switch c.Header = http.CanonicalHeaderKey(written); {
	case c.Header == "" && c.Hops != 0:
		report("hops has no effect without client_ip", "client_ip: X-Forwarded-For, or no hops")
	case c.Header == "":
		return
	case !isPlainName(c.Header):
		report(fmt.Sprintf("client_ip: %q is not a header name", written), hint)
	case t.format != nil && t.owns(c.Header):
		report(fmt.Sprintf("client_ip: the header %s holds the certificate", c.Header), hint)
	case c.Header == "Forwarded":
		report("client_ip: the syntax of the header Forwarded (RFC 7239) is not read", hint)
	case reserved[c.Header] && c.Header != "X-Forwarded-For":
		report(fmt.Sprintf("client_ip: the header %s has another meaning", c.Header), hint)
	}
	if c.Hops < 0 || c.Hops > maxHops {
		report(fmt.Sprintf("hops: %d is not a number from 1 to %d", c.Hops, maxHops), "1 is the address that the gateway itself adds")
	}
}

// ClientIP returns the caller's IP address as the gateway forwards it, without a mapping of IPv4
// and without a zone. It is not valid if the header is missing, or has no address in the place
// of Hops. configured reports whether Config.ClientIP names a header. Call ClientIP only for a
// request whose connection is a gateway's (IsGateway). It allocates nothing, and is safe for
// concurrent use.
func (r *Receiver) ClientIP(h http.Header) (ip netip.Addr, configured bool) {
	if r.clientIP.Header == "" {
		return netip.Addr{}, false
	}
	return r.readClientIP(h), true
}

// readClientIP counts the entries of the header from its end.
func (r *Receiver) readClientIP(h http.Header) netip.Addr {
	lines, hops := h[r.clientIP.Header], max(1, r.clientIP.Hops)
	for i := len(lines) - 1; i >= 0; i-- {
		for line, more := lines[i], true; more; hops-- {
			entry := line
			if comma := strings.LastIndexByte(line, ','); comma >= 0 {
				line, entry = line[:comma], line[comma+1:]
			} else {
				more = false
			}
			if hops == 1 {
				return parseClientIP(strings.Trim(entry, " \t"))
			}
		}
	}
	return netip.Addr{}
}

// longestClientIP is more than any address with a port has.
const longestClientIP = 64

// parseClientIP parses an address, with or without a port. An error is no address: it would hold
// text from outside.
func parseClientIP(text string) netip.Addr {
	if len(text) > longestClientIP {
		return netip.Addr{}
	}
	colon := strings.IndexByte(text, ':')
	switch {
	case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
		text = text[1 : len(text)-1]
		if strings.IndexByte(text, ':') < 0 {
			return netip.Addr{} // brackets are for IPv6
		}
	case strings.HasPrefix(text, "["), colon >= 0 && colon == strings.LastIndexByte(text, ':'):
		with, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}
		}
		return plainAddr(with.Addr())
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return plainAddr(addr)
}

// plainAddr returns an address without the mapping of IPv4. One with a zone is not valid: zones
// mean something on the gateway's machine only.
func plainAddr(a netip.Addr) netip.Addr {
	if a.Zone() != "" {
		return netip.Addr{}
	}
	return a.Unmap()
}
