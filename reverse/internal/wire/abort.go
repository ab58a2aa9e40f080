package wire

import "net"

// Reset closes a connection without TLS so that the other end cannot take it for a regular
// end: TCP sends RST.
func Reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}
