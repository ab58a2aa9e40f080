package reverse

import (
	"errors"
	"log/slog"
	"runtime/debug"
)

var errPanic = errors.New("reverse: a function of the configuration panicked")

// recoverAs recovers from the panic of a function of the configuration, named name, and
// sets err, which the caller must treat as a refusal. It is deferred around functions that
// run outside of a request or with a lock held: their panic would end the process, or hold
// the lock forever. The default logger logs the panic.
func recoverAs(err *error, name string) {
	if v := recover(); v != nil {
		slog.Error("reverse: "+name+" panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		*err = errPanic
	}
}
