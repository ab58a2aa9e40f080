package reverse

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// mostHello bounds the first message of a client, in bytes.
const mostHello = 64 << 10

var errHello = errors.New("reverse: not a TLS client")

// readServerName reads the first message of a TLS client and returns the name that it
// asks for, and everything that was read. It answers nothing. crypto/tls itself reads
// the message, so that it is understood here as the server inside will understand it,
// in however many records and packets it comes (A13).
func readServerName(c net.Conn) (name string, read []byte, err error) {
	ears := &earsOnly{Conn: c}
	seen := false
	err = tls.Server(ears, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, seen = hello.ServerName, true
			return nil, errHello // enough
		},
	}).Handshake()
	if !seen {
		return "", nil, errors.Join(errHello, err)
	}
	return name, ears.heard, nil
}

// earsOnly keeps what it reads and says nothing.
type earsOnly struct {
	net.Conn
	heard []byte
}

func (e *earsOnly) Read(b []byte) (int, error) {
	if len(e.heard) >= mostHello {
		return 0, io.ErrShortBuffer
	}
	n, err := e.Conn.Read(b[:min(len(b), mostHello-len(e.heard))])
	e.heard = append(e.heard, b[:n]...)
	return n, err
}

func (e *earsOnly) Write(b []byte) (int, error) { return len(b), nil }
