//go:build unix

package testkit

import "syscall"

// NamedPipe makes a named pipe.
func NamedPipe(path string) error { return syscall.Mkfifo(path, 0o600) }
