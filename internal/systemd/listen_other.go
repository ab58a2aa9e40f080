//go:build !unix

package systemd

import (
	"errors"
	"net"
)

// Listen returns an error: only unix systems pass sockets to a process.
func Listen(string) (net.Listener, error) {
	return nil, errors.New("systemd passes sockets on Linux only: change listen to HOST:PORT")
}
