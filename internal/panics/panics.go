// Package panics turns panics of the program's own code into errors, where they would end the process.
package panics

import (
	"errors"
	"log/slog"
	"runtime/debug"
)

// AsError recovers from a panic, logs it to the default logger, and sets err. Defer it in a goroutine
// that calls code of the program, named name: net/http recovers only in the goroutine of a request.
func AsError(err *error, name string) {
	if v := recover(); v != nil {
		slog.Error(name+" panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		*err = errors.New(name + " panicked")
	}
}
