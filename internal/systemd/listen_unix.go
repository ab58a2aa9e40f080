//go:build unix

package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
)

// passed takes over the sockets, once: it removes the variables from the environment, and keeps
// the sockets from the programs that this one starts. It keeps them open, so that a port can
// listen again.
var passed = sync.OnceValue(func() (out struct {
	names []string
	files []*os.File
	why   string
}) {
	out.names, out.why = names(os.Getenv, os.Getpid())
	for _, v := range variables {
		os.Unsetenv(v)
	}
	for i, name := range out.names {
		syscall.CloseOnExec(firstFD + i)
		out.files = append(out.files, os.NewFile(uintptr(firstFD+i), name))
	}
	return out
})

// Listen returns a listener on the socket of a name. Closing it leaves the socket open: its
// connections wait for the next Listen, or for the next process. It is safe for concurrent use.
func Listen(name string) (net.Listener, error) {
	all := passed()
	if all.why != "" {
		return nil, errors.New(all.why)
	}
	i, err := find(all.names, name)
	if err != nil {
		return nil, err
	}
	accepts, err := syscall.GetsockoptInt(firstFD+i, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if err != nil {
		return nil, fmt.Errorf("the file descriptor %d that is passed as %q is not a socket: %w", firstFD+i, name, err)
	}
	if accepts == 0 {
		return nil, fmt.Errorf("the socket %q accepts no connections: set ListenStream= and Accept=no in the .socket unit", name)
	}
	return net.FileListener(all.files[i])
}
