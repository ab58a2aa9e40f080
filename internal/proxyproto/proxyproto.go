// Package proxyproto reads the header of the PROXY protocol, versions 1 and 2, in which a proxy
// sends the address of its client (HAProxy's doc/proxy-protocol.txt).
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// FormatError is the error of a header that is missing, malformed, or has no address of a TCP
// connection where it should. It contains nothing that was received.
type FormatError string

// Error returns what is wrong.
func (e FormatError) Error() string { return string(e) }

const (
	signature  = "\r\n\r\n\x00\r\nQUIT\n" // of version 2
	unknown    = "PROXY UNKNOWN"
	shortest   = len(unknown + "\r\n")
	longest1   = 107        // bytes of a line of version 1
	fixed2     = 16         // bytes of version 2 before the addresses
	addresses2 = 36         // bytes of the addresses of TCP over IPv6
	longest2   = 4096       // bytes of version 2 after the fixed ones
	handshake  = 22         // the first byte of TLS
	local      = 0x20       // version and command
	proxied    = 0x21       // version and command
	noFamily   = 0          // family and protocol
	tcp4, tcp6 = 0x11, 0x21 // family and protocol
)

// Read reads one header from r, and not one byte more, in a few small reads: r must be the
// connection itself. It returns the caller's address. That is the zero AddrPort where the proxy
// connects for itself (LOCAL), or sends no address (UNKNOWN, AF_UNSPEC): by the protocol
// it is then that of the connection. Everything but addresses (TLVs) is skipped.
//
// The error is a FormatError, or that of r; io.EOF if r ends before the first byte.
func Read(r io.Reader) (netip.AddrPort, error) {
	var b [longest1]byte
	if _, err := io.ReadFull(r, b[:shortest]); err != nil {
		return netip.AddrPort{}, err
	}
	switch {
	case string(b[:len(signature)]) == signature:
		return readVersion2(r, &b)
	case string(b[:6]) == unknown[:6]:
		return readVersion1(r, &b)
	case b[0] == handshake:
		return netip.AddrPort{}, FormatError("the connection begins with TLS, without a PROXY header")
	}
	return netip.AddrPort{}, FormatError("the connection does not begin with a PROXY header")
}

// readVersion1 reads the rest of a line. It never reads beyond the shortest end that the line
// can have.
func readVersion1(r io.Reader, b *[longest1]byte) (none netip.AddrPort, err error) {
	n := shortest
	if end := bytes.IndexByte(b[:n], '\n'); end >= 0 && end != n-1 {
		return none, FormatError("the PROXY header is too short")
	}
	for !bytes.HasSuffix(b[:n], []byte("\r\n")) {
		step := 2
		if b[n-1] == '\r' || n == longest1-1 {
			step = 1
		}
		if n == longest1 {
			return none, FormatError(fmt.Sprintf("the PROXY header has no end within %d bytes", longest1))
		}
		if _, err := io.ReadFull(r, b[n:n+step]); err != nil {
			return none, unexpected(err)
		}
		n += step
	}
	line := string(b[:n-2])
	if line == unknown || strings.HasPrefix(line, unknown+" ") {
		return none, nil
	}
	fields := strings.Split(line, " ")
	if len(fields) != 6 {
		return none, FormatError("the PROXY header does not have six fields")
	}
	from, err := netip.ParseAddr(fields[2])
	to, toErr := netip.ParseAddr(fields[3])
	port, ok := parsePort(fields[4])
	_, toOK := parsePort(fields[5])
	isFamily := map[string]func(netip.Addr) bool{"TCP4": netip.Addr.Is4, "TCP6": netip.Addr.Is6}[fields[1]]
	switch {
	case isFamily == nil:
		return none, FormatError("the PROXY header is for neither TCP4 nor TCP6")
	case err != nil || toErr != nil || !isFamily(from) || !isFamily(to) || from.Zone() != "" || to.Zone() != "":
		return none, FormatError("the PROXY header has an address that is not of its family")
	case !ok || !toOK:
		return none, FormatError("the PROXY header has a port that is not a number of a port")
	}
	return netip.AddrPortFrom(from.Unmap(), port), nil
}

// parsePort parses a decimal number without sign and leading zeros.
func parsePort(text string) (uint16, bool) {
	n, err := strconv.ParseUint(text, 10, 16)
	return uint16(n), err == nil && strconv.FormatUint(n, 10) == text
}

// readVersion2 reads the rest of a binary header.
func readVersion2(r io.Reader, b *[longest1]byte) (none netip.AddrPort, err error) {
	if _, err := io.ReadFull(r, b[shortest:fixed2]); err != nil {
		return none, unexpected(err)
	}
	command, family, length := b[12], b[13], int(binary.BigEndian.Uint16(b[14:]))
	least := map[byte]int{tcp4: 12, tcp6: addresses2}[family]
	switch {
	case command != local && command != proxied:
		return none, FormatError("the PROXY header has an unknown version or command")
	case length > longest2:
		return none, FormatError(fmt.Sprintf("the PROXY header has %d bytes after the first %d, more than %d", length, fixed2, longest2))
	case command == local || family == noFamily:
		return none, discard(r, length)
	case least == 0:
		return none, FormatError("the PROXY header is for neither TCP over IPv4 nor TCP over IPv6")
	case length < least:
		return none, FormatError("the PROXY header is too short for its addresses")
	}
	if _, err := io.ReadFull(r, b[:least]); err != nil {
		return none, unexpected(err)
	}
	if err := discard(r, length-least); err != nil {
		return none, err
	}
	if family == tcp4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), binary.BigEndian.Uint16(b[8:])), nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])).Unmap(), binary.BigEndian.Uint16(b[32:])), nil
}

func discard(r io.Reader, n int) error {
	_, err := io.CopyN(io.Discard, r, int64(n))
	return unexpected(err)
}

// unexpected returns the error of a read in the middle of a header.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
