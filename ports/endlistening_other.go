//go:build !linux

package ports

import "net"

// endListening does nothing: systems other than Linux do not end a listening socket by shutdown(2).
func endListening(*net.TCPListener) {}
