package proxyproto

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 returns a header of version 2.
func v2(command, family byte, rest string) string {
	return signature + string([]byte{command, family, byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const (
	block4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x01\xbb" // 192.0.2.1:12345 to 198.51.100.2:443
	tlvs   = "\x03\x00\x04\x01\x02\x03\x04\x20\x00\x0b\x01\x00\x00\x00\x00\x22\x00\x03CN="
)

var block6 = string(netip.MustParseAddr("2001:db8::1").AsSlice()) + string(netip.MustParseAddr("2001:db8::2").AsSlice()) + "\x30\x39\x01\xbb"

var mapped = string(netip.MustParseAddr("::ffff:192.0.2.1").AsSlice()) + block6[16:]

var headers = []struct{ name, header, want string }{ // want: the address, "" for none, or the error after "!"
	{"version 1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "192.0.2.1:12345"},
	{"version 1, the shortest", "PROXY TCP4 1.1.1.1 2.2.2.2 0 1\r\n", "1.1.1.1:0"},
	{"version 1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 12345 443\r\n", "[2001:db8::1]:12345"},
	{"version 1, the longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"version 1, IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 12345 443\r\n", "192.0.2.1:12345"},
	{"version 1, unknown", "PROXY UNKNOWN\r\n", ""},
	{"version 1, unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", ""},
	{"version 1, 107 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 91) + "\r\n", ""},
	{"version 1, 108 bytes", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "!no end within 107 bytes"},
	{"version 1, no end", "PROXY UNKNOWN " + strings.Repeat("x", 500), "!no end within 107 bytes"},
	{"version 1, other unknown", "PROXY UNKNOWNX\r\n", "!six fields"},
	{"version 1, line feed alone", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\n" + strings.Repeat("x", 200), "!no end within 107 bytes"},
	{"version 1, lower case", "proxy TCP4 192.0.2.1 198.51.100.2 12345 443\r\n", "!does not begin"},
	{"version 1, two blanks", "PROXY TCP4  192.0.2.1 198.51.100.2 12345 443\r\n", "!six fields"},
	{"version 1, too many fields", "PROXY TCP4 192.0.2.1 198.51.100.2 12345 443 \r\n", "!six fields"},
	{"version 1, UDP", "PROXY UDP4 192.0.2.1 198.51.100.2 12345 443\r\n", "!neither TCP4 nor TCP6"},
	{"version 1, wrong family", "PROXY TCP4 2001:db8::1 198.51.100.2 12345 443\r\n", "!not of its family"},
	{"version 1, wrong family of the target", "PROXY TCP4 192.0.2.1 2001:db8::1 12345 443\r\n", "!not of its family"},
	{"version 1, octal", "PROXY TCP4 192.0.2.010 198.51.100.2 12345 443\r\n", "!not of its family"},
	{"version 1, zone", "PROXY TCP6 fe80::1%1 fe80::2 12345 443\r\n", "!not of its family"},
	{"version 1, a name", "PROXY TCP4 localhost 198.51.100.2 12345 443\r\n", "!not of its family"},
	{"version 1, port too large", "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n", "!port"},
	{"version 1, port with a sign", "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n", "!port"},
	{"version 1, port with a zero", "PROXY TCP4 192.0.2.1 198.51.100.2 1 0443\r\n", "!port"},
	{"version 1, too short", "PROXY TCP4\r\nABCDEF", "!too short"},
	{"version 2, IPv4", v2(proxied, tcp4, block4), "192.0.2.1:12345"},
	{"version 2, IPv6", v2(proxied, tcp6, block6), "[2001:db8::1]:12345"},
	{"version 2, IPv4 as IPv6", v2(proxied, tcp6, mapped), "192.0.2.1:12345"},
	{"version 2 with TLVs", v2(proxied, tcp4, block4+tlvs), "192.0.2.1:12345"},
	{"version 2 with garbage for TLVs", v2(proxied, tcp6, block6+"\xff\xff\xff"), "[2001:db8::1]:12345"},
	{"version 2, local", v2(local, noFamily, ""), ""},
	{"version 2, local with addresses", v2(local, tcp4, block4+tlvs), ""},
	{"version 2, local with anything", v2(local, 0xff, "x"), ""},
	{"version 2, unspecified", v2(proxied, noFamily, "whatever"), ""},
	{"version 2, the largest", v2(proxied, tcp4, block4+strings.Repeat("x", longest2-12)), "192.0.2.1:12345"},
	{"version 2, too large", v2(proxied, tcp4, block4+strings.Repeat("x", longest2-11)), "!more than 4096"},
	{"version 2, local and too large", v2(local, noFamily, strings.Repeat("x", longest2+1)), "!more than 4096"},
	{"version 2, UDP", v2(proxied, 0x12, block4), "!neither TCP"},
	{"version 2, unix", v2(proxied, 0x31, strings.Repeat("x", 216)), "!neither TCP"},
	{"version 2, short for IPv4", v2(proxied, tcp4, block4[1:]), "!too short"},
	{"version 2, short for IPv6", v2(proxied, tcp6, block4), "!too short"},
	{"version 2, unknown command", v2(2<<4|2, tcp4, block4), "!unknown version or command"},
	{"version 3", v2(3<<4|1, tcp4, block4), "!unknown version or command"},
	{"version 2, wrong signature", strings.Replace(v2(proxied, tcp4, block4), "QUIT", "QUIX", 1), "!does not begin"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and the rest", "!begins with TLS"},
	{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "!does not begin"},
}

// A header is read to its end, and not one byte further, however it arrives.
// Covers N3.
func TestHeadersAreReadExactly(t *testing.T) {
	t.Parallel()
	const after = "\x16\x03\x01 what follows"
	for _, row := range headers {
		wrong, isWrong := strings.CutPrefix(row.want, "!")
		for _, slow := range []bool{false, true} {
			source := strings.NewReader(row.header + after)
			var r io.Reader = source
			if slow {
				r = iotest.OneByteReader(r)
			}
			got, err := Read(r)
			if isWrong {
				if _, ok := errors.AsType[FormatError](err); !ok || !strings.Contains(err.Error(), wrong) || got.IsValid() {
					t.Errorf("%s: got %v, %v; want %v", row.name, got, err, wrong)
				}
				continue
			}
			rest, _ := io.ReadAll(source)
			if err != nil || got.IsValid() != (row.want != "") || got.IsValid() && got.String() != row.want || string(rest) != after {
				t.Errorf("%s: %v, %v, and %q follows", row.name, got, err, rest)
			}
		}
		if isWrong {
			continue
		}
		for n := range row.header { // cut off
			want := io.ErrUnexpectedEOF
			if n == 0 {
				want = io.EOF
			}
			if _, err := Read(strings.NewReader(row.header[:n])); err != want {
				t.Errorf("%s, %d bytes: %v, want %v", row.name, n, err, want)
				break
			}
		}
	}
}

// For any bytes Read takes a whole header or reports an error, reads a bounded number of bytes,
// and quotes none of them.
func FuzzRead(f *testing.F) {
	for _, row := range headers {
		f.Add([]byte(row.header + "rest"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		source := bytes.NewReader(data)
		got, err := Read(source)
		taken := len(data) - source.Len()
		if taken > fixed2+longest2 {
			t.Fatalf("%d bytes", taken)
		}
		if err != nil {
			if got.IsValid() {
				t.Fatalf("%v and %v", got, err)
			}
			return
		}
		header := data[:taken]
		if got.IsValid() && (got.Addr().Is4In6() || got.Addr().Zone() != "") {
			t.Fatalf("got %v", got)
		}
		if bytes.HasPrefix(header, []byte(signature)) {
			if length := int(header[14])<<8 | int(header[15]); taken != fixed2+length {
				t.Fatalf("%d bytes of %d", taken, fixed2+length)
			}
			return
		}
		if !bytes.HasSuffix(header, []byte("\r\n")) || bytes.Count(header, []byte("\r\n")) != 1 {
			t.Fatalf("got %q", header)
		}
		if got.IsValid() {
			fields := strings.Fields(string(header))
			if a, err := netip.ParseAddr(fields[2]); err != nil || a.Unmap() != got.Addr() || fmt.Sprint(got.Port()) != fields[4] {
				t.Fatalf("%q: got %v", header, got)
			}
		}
	})
}
