// Package panics turns panics of the program's own code into errors, where they would end the process.
package panics

import (
	"errors"
	"log/slog"
	"runtime/debug"
)

// AsError recovers from a panic, logs it to the default logger, and sets err. Defer it where code of the
// program, named name, is called outside of a request or with a lock held: the panic would end the process,
// or hold the lock for ever. net/http recovers only in the goroutine of a request.
func AsError(err *error, name string) {
	if v := recover(); v != nil {
		slog.Error(name+" panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		*err = errors.New(name + " panicked")
	}
}
