package reverse

import (
	"errors"
	"log/slog"
	"runtime/debug"
)

var errPanic = errors.New("reverse: a function of the program panicked")

// recovered is deferred around a function of the program that is called outside of a
// request or under a lock: its panic would end the process, or hold the lock for ever.
// It sets err, which must be a refusal to the caller. The panic goes to the program's
// default log: it is a defect of the program.
func recovered(name string, err *error) {
	if v := recover(); v != nil {
		slog.Error("reverse: "+name+" panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		*err = errPanic
	}
}
