//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package source

import "os"

// flock does nothing: this system has no flock.
func flock(*os.File) error { return nil }

func isReadOnly(error) bool { return false }
