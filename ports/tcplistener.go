package ports

import "net"

// tcpListener is a listener that the port opened itself. Close ends it also while this process starts another
// one, which has a copy of every file descriptor until its exec: after net's Close alone the system would
// accept connections until then, and the address would be in use.
type tcpListener struct{ *net.TCPListener }

func (l tcpListener) Close() error {
	endListening(l.TCPListener)
	return l.TCPListener.Close()
}
