package reverse

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
)

// maxClientHello bounds the first message of a client, in bytes.
const maxClientHello = 64 << 10

var errNoClientHello = errors.New("reverse: the client does not begin with a TLS ClientHello")

// readServerName reads a client's ClientHello and returns its server name, and all bytes
// read. It sends nothing. crypto/tls parses the message, so the name is the one that the
// inner server will see, however the message is split into records and packets.
func readServerName(c net.Conn) (name string, read []byte, err error) {
	recorder := &recordingConn{Conn: c}
	found := false
	err = tls.Server(recorder, &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			name, found = hello.ServerName, true
			return nil, errNoClientHello // ends the handshake
		},
	}).Handshake()
	if !found {
		return "", nil, errors.Join(errNoClientHello, err)
	}
	return name, recorder.read, nil
}

// recordingConn keeps the bytes that it reads, and drops those that are written.
type recordingConn struct {
	net.Conn
	read []byte
}

// Read implements net.Conn.
func (r *recordingConn) Read(b []byte) (int, error) {
	if len(r.read) >= maxClientHello {
		return 0, io.ErrShortBuffer
	}
	n, err := r.Conn.Read(b[:min(len(b), maxClientHello-len(r.read))])
	r.read = append(r.read, b[:n]...)
	return n, err
}

// Write implements net.Conn.
func (r *recordingConn) Write(b []byte) (int, error) { return len(b), nil }
