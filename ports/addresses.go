package ports

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Addresses are the IP addresses from which a port accepts connections. The zero value accepts
// all. A connection without an IP address, such as one of a unix socket, is in no range: only
// the zero value accepts it.
type Addresses struct {
	Allow []netip.Prefix // empty: every address
	Deny  []netip.Prefix // wins over Allow
}

// Equal reports whether two lists are the same, in the same order.
func (a Addresses) Equal(b Addresses) bool {
	return slices.Equal(a.Allow, b.Allow) && slices.Equal(a.Deny, b.Deny)
}

// refuse returns why a connection from ip is not accepted, or nil.
func (a *Addresses) refuse(ip netip.Addr) *reason.Refusal {
	if len(a.Allow)+len(a.Deny) == 0 {
		return nil
	}
	if !ip.IsValid() {
		return reason.Refuse(reason.Address, "the connection has no IP address, and addresses lists ranges of IP addresses") // fail closed
	}
	if i := slices.IndexFunc(a.Deny, func(p netip.Prefix) bool { return p.Contains(ip) }); i >= 0 {
		return reason.Refuse(reason.Address, fmt.Sprintf("%s is in %s of addresses.deny", ip, a.Deny[i]))
	}
	if len(a.Allow) > 0 && !contains(a.Allow, ip) {
		return reason.Refuse(reason.Address, fmt.Sprintf("%s is in no range of addresses.allow", ip))
	}
	return nil
}

// contains reports whether one of the ranges contains ip.
func contains(ranges []netip.Prefix, ip netip.Addr) bool {
	return slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// ipOf returns the IP address of a connection as ranges are written: an IPv4 address of a
// dual-stack listener as IPv4, and without the zone, which a client cannot choose. It is not
// valid for other kinds of addresses.
func ipOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return t.AddrPort().Addr().Unmap().WithZone("")
}

// checkRanges adds an error for each range that contains no address, or others than it seems.
func checkRanges(field string, ranges []netip.Prefix, wrong *errorlist.List) {
	for i, r := range ranges {
		fail := func(what, hint string) {
			wrong.Add(configerror.Error{What: fmt.Sprintf("%s[%d]%s", field, i, what), Hint: hint})
		}
		switch {
		case !r.IsValid():
			fail(" is not a range", "use netip.MustParsePrefix, such as of 10.0.0.0/8")
		case r.Addr().Is4In6():
			fail(fmt.Sprintf(": %s contains no address: IPv4 addresses are compared as IPv4", r), "write the range as IPv4, such as 10.0.0.0/8")
		case r != r.Masked():
			fail(fmt.Sprintf(": %s has bits beyond its length", r), fmt.Sprintf("write %s, or one address as %s", r.Masked(), netip.PrefixFrom(r.Addr(), r.Addr().BitLen())))
		}
	}
}
