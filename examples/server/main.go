// Command server is an API behind three guarded ports.
//
//	go run ./examples/server                     # an embedded configuration, and curl lines to try it
//	go run ./examples/server -config mtlsguard.yaml
//
// The API answers every request that the guard lets through with who called, and
// how that is known. Decisions, refused handshakes and reloads are JSON lines on
// standard error. SIGHUP reloads, SIGINT and SIGTERM drain and end it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	ok      = 0
	failed  = 1 // it could not serve
	unusual = 2 // the command line or the configuration is wrong
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	config := flags.String("config", "", "configuration `file`; without one an embedded example is served")
	debug := flags.Bool("debug", false, "put explanations into refusals")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return ok
	case err != nil:
		return unusual
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "error: unknown argument %q\nhint: -config FILE\n", flags.Arg(0))
		return unusual
	case *config == "" && given(flags, "config"):
		// Else an unset variable in a script would end in the embedded example.
		fmt.Fprint(stderr, "error: -config names no file\nhint: -config FILE, or no -config for the embedded example\n")
		return unusual
	}

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	options := mtlsguard.Options{
		Log:   mtlsguard.JSONLog(stderr, nil),
		Debug: *debug,
		Ready: func() {
			if *config == "" {
				printCurl(stdout)
			}
			fmt.Fprintln(stdout, "ready")
		},
	}
	server, err := open(*config, options)
	if err != nil {
		complain(stderr, err)
		return unusual
	}
	go func() {
		for {
			select {
			case <-hangup:
				_ = server.Reload() // it logs what it did
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := server.Serve(ctx, api()); err != nil {
		complain(stderr, err)
		fmt.Fprintln(stderr, "hint: does another program have the address, or is it another machine's? No port was left open")
		return failed
	}
	return ok
}

func given(flags *flag.FlagSet, name string) bool {
	found := false
	flags.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func open(config string, options mtlsguard.Options) (*mtlsguard.Server, error) {
	if config == "" {
		return mtlsguard.OpenFS(embedded, "mtlsguard.yaml", options)
	}
	return mtlsguard.Open(config, options)
}

// complain writes every mistake as a line "error:" and a line "hint:".
func complain(w io.Writer, err error) {
	mistakes := configerror.All(err)
	if len(mistakes) == 0 {
		fmt.Fprintf(w, "error: %v\n", err)
	}
	for _, m := range mistakes {
		if place := m.Position(); place != "" {
			fmt.Fprintf(w, "error: %s: %s\n", place, m.What)
		} else {
			fmt.Fprintf(w, "error: %s\n", m.What)
		}
		if m.Hint != "" {
			fmt.Fprintf(w, "hint: %s\n", m.Hint)
		}
	}
}
