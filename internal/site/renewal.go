package site

import "errors"

// halfRenewedError is the error of a reload in which nothing is wrong but this: of a
// certificate and its key, one file is new and the other is not yet.
type halfRenewedError struct{ error }

func (e halfRenewedError) Unwrap() error { return e.error }

// IsHalfRenewed reports whether a certificate and its key are being renewed one after the
// other, and nothing else is wrong. The other file may follow in a moment.
func IsHalfRenewed(err error) bool {
	_, ok := errors.AsType[halfRenewedError](err)
	return ok
}

// changed reports whether a file differs from the current generation's.
func (l *loader) changed(name string) bool {
	if l.previous == nil {
		return false
	}
	old, ok := l.previous.Files.Read[name]
	return ok && old.Digest != l.files.Read[name].Digest
}
