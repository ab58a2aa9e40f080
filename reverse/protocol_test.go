package reverse_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/reverse"
)

// Covers K9.
func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	t.Parallel()
	for failures, want := range map[int]time.Duration{0: 500 * time.Millisecond, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 7: 30 * time.Second, 1_000_000: 30 * time.Second} {
		if got := reverse.BackoffBound(500*time.Millisecond, 30*time.Second, failures); got != want {
			t.Errorf("after %d failures %v, want %v", failures, got, want)
		}
	}
}

// Covers K10.
func TestViaIsParsed(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"": false, "1.1 other": false, "1.1 self": true, "1.1 other, 2.0 self (x)": true, "1.1 self2": false, "self": false, "1.1": false, "1.1\tself": true,
		strings.Repeat("1.1 a,", 15) + "1.1 a": false, strings.Repeat("1.1 a,", 16) + "1.1 a": true,
	} {
		if got := reverse.IsLoop(line, "self"); got != want {
			t.Errorf("%q: %t, want %t", line, got, want)
		}
	}
}

func FuzzVia(f *testing.F) {
	f.Add("1.1 a, 2.0 self (x)")
	f.Fuzz(func(t *testing.T, line string) {
		reverse.IsLoop(line, "self")
		if strings.Count(line, ",") < 15 && !reverse.IsLoop(line+", 1.1 self", "self") {
			t.Errorf("%q hides the pseudonym", line)
		}
	})
}

// clientHello returns the first message of a TLS client.
func clientHello(tb testing.TB, name string) []byte {
	tb.Helper()
	a, b := net.Pipe()
	go tls.Client(a, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	defer a.Close()
	buf := make([]byte, 64<<10)
	n := must[int](tb)(b.Read(buf))
	return buf[:n]
}

// scriptedConn is a client that sends data in chunks and counts the bytes that it receives.
type scriptedConn struct {
	net.Conn
	data      []byte
	chunkSize int
	written   int
}

func (s *scriptedConn) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), max(s.chunkSize, 1))], s.data)
	s.data = s.data[n:]
	if n == 0 {
		return 0, net.ErrClosed
	}
	return n, nil
}

func (s *scriptedConn) Write(b []byte) (int, error)      { s.written += len(b); return len(b), nil }
func (s *scriptedConn) SetDeadline(time.Time) error      { return nil }
func (s *scriptedConn) SetReadDeadline(time.Time) error  { return nil }
func (s *scriptedConn) SetWriteDeadline(time.Time) error { return nil }
func (s *scriptedConn) Close() error                     { return nil }

// splitRecords splits a ClientHello over records of n bytes.
func splitRecords(hello []byte, n int) []byte {
	var out []byte
	for body := hello[5:]; len(body) > 0; {
		part := body[:min(n, len(body))]
		body = body[len(part):]
		out = append(out, 22, hello[1], hello[2], 0, byte(len(part)))
		out = append(out, part...)
	}
	return out
}

// Covers A13.
func TestServerNameOfAFragmentedClientHello(t *testing.T) {
	t.Parallel()
	hello := clientHello(t, "orders.example")
	for _, record := range []int{1, 2, 7, 16, 100} {
		for _, packet := range []int{1, 3, 1000} {
			data := splitRecords(hello, record)
			c := &scriptedConn{data: data, chunkSize: packet}
			name, read, err := reverse.ReadServerName(c)
			if err != nil || name != "orders.example" {
				t.Errorf("records of %d, packets of %d: %q, %v", record, packet, name, err)
			}
			if string(read)+string(c.data) != string(data) || c.written != 0 {
				t.Errorf("records of %d, packets of %d: %d bytes kept of %d, %d sent", record, packet, len(read), len(data), c.written)
			}
		}
	}
	if name, _, err := reverse.ReadServerName(&scriptedConn{data: clientHello(t, ""), chunkSize: 1000}); err != nil || name != "" {
		t.Errorf("without a name: %q, %v", name, err)
	}
}

func FuzzClientHello(f *testing.F) {
	hello := clientHello(f, "orders.example")
	f.Add(hello, 1000)
	f.Add(splitRecords(hello, 5), 3)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), 5)
	f.Add(hello[:50], 1)
	f.Fuzz(func(t *testing.T, data []byte, each int) {
		c := &scriptedConn{data: data, chunkSize: each}
		name, read, err := reverse.ReadServerName(c)
		if c.written != 0 {
			t.Errorf("%d bytes were sent", c.written)
		}
		if err == nil && string(read) != string(data[:len(data)-len(c.data)]) {
			t.Error("the bytes read differ from those returned")
		}
		if err != nil && name != "" {
			t.Errorf("%q with an error", name)
		}
	})
}
