//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package statussocket

import (
	"errors"
	"time"
)

// lockFolder fails: on this system a file's mode does not protect a socket, or two servers
// could replace each other's socket.
func lockFolder(string, time.Duration) (func(), error) {
	return nil, errors.New("this system has no unix sockets that a mode protects")
}

func isRefused(error) bool { return false }
