//go:build !unix

package testkit

import "errors"

// NamedPipe returns an error: a pipe is no file here.
func NamedPipe(string) error { return errors.ErrUnsupported }
