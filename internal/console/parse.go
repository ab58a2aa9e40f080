package console

import (
	"errors"
	"io"

	"github.com/alecthomas/kong"
)

// exited is the panic value by which kong's flags for help and version end a command.
type exited int

// New returns the parser of a command line. grammar points to a struct with kong's tags. The function that
// parses defers OnExit.
func New(grammar any, name, description string, stdout, stderr io.Writer, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(grammar, append([]kong.Option{
		kong.Name(name), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Exit(func(status int) { panic(exited(status)) }),
		kong.Help(PrintHelp), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
	}, options...)...)
}

// OnExit sets code to the exit status of a help or version flag, if one has ended the function that defers
// OnExit.
func OnExit(code *int) {
	switch p := recover().(type) {
	case nil:
	case exited:
		*code = int(p)
	default:
		panic(p)
	}
}

// UsageHint returns the help command to run after a command line that the parser rejects.
func UsageHint(name string, err error) string {
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context.Selected() != nil {
		return name + " " + Name(e.Context.Command()) + " --help"
	}
	return name + " --help"
}
