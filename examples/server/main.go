// Command server is an API behind three guarded ports.
//
//	go run ./examples/server                     # serves an embedded configuration, and prints curl lines
//	go run ./examples/server -config mtlsguard.yaml
//	go run ./examples/server -config mtlsguard.yaml -status status.sock   # with a socket for mtlsguard status
//	go run ./examples/server -config mtlsguard.yaml -probes 127.0.0.1:8081  # GET /ready and /live, without TLS
//	go run ./examples/server -config mtlsguard.yaml -admin admin          # with the admin page on the port "admin"
//
// The API answers every allowed request with the identity of the caller, and how it was
// established. Decisions, refused handshakes and reloads are JSON lines on standard error.
// SIGHUP reloads the files. SIGINT and SIGTERM drain the ports and end the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
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
	exitOK      = 0
	exitFailed  = 1 // the server could not serve
	exitInvalid = 2 // the command line or the configuration has an error
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(stderr)
	config := flags.String("config", "", "configuration `file`; without it an embedded example is served")
	debug := flags.Bool("debug", false, "add explanations to refusals")
	status := flags.String("status", "", "unix socket `file` for mtlsguard status; without it there is none")
	probes := flags.String("probes", "", "`address` for GET /ready and /live, which no caller may reach; without it there is none")
	adminPort := flags.String("admin", "", "`name` of the port with the admin page in place of the API; without it there is no page")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitInvalid
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "error: unknown argument %q\nhint: -config FILE\n", flags.Arg(0))
		return exitInvalid
	case *config == "" && given(flags, "config"):
		// Otherwise an unset variable in a script would serve the embedded example.
		fmt.Fprint(stderr, "error: -config is empty\nhint: -config FILE, or no -config for the embedded example\n")
		return exitInvalid
	case *status == "" && given(flags, "status"):
		fmt.Fprint(stderr, "error: -status is empty\nhint: -status FILE, or no -status for no socket\n")
		return exitInvalid
	case *probes == "" && given(flags, "probes"):
		fmt.Fprint(stderr, "error: -probes is empty\nhint: -probes HOST:PORT, or no -probes for none\n")
		return exitInvalid
	case *adminPort == "" && given(flags, "admin"):
		fmt.Fprint(stderr, "error: -admin is empty\nhint: -admin NAME with the name of a port, or no -admin for no page\n")
		return exitInvalid
	}

	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	options := mtlsguard.Options{
		Log:   mtlsguard.JSONLog(stderr, nil),
		Debug: *debug, StatusSocket: *status,
		Ready: func() {
			if *config == "" {
				printCurl(stdout)
			}
			fmt.Fprintln(stdout, "ready")
		},
	}
	server, handler, err := openWithPage(*config, *adminPort, options)
	if err != nil {
		printErrors(stderr, err)
		return exitInvalid
	}
	if *probes != "" {
		srv, err := serveProbes(*probes, server.Readiness())
		if err != nil {
			printErrors(stderr, err)
			fmt.Fprintln(stderr, "hint: -probes HOST:PORT of this machine, which no other program has. No port is open")
			return exitFailed
		}
		defer srv.Close()
	}
	go func() {
		for {
			select {
			case <-hangup:
				_ = server.Reload() // the result is in the log
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := server.Serve(ctx, handler); err != nil {
		printErrors(stderr, err)
		if len(configerror.All(err)) > 0 {
			return exitFailed // each has a hint
		}
		if op := (*net.OpError)(nil); errors.As(err, &op) { // other errors have what to do in their text
			fmt.Fprintln(stderr, "hint: another program may have the address, or it is not an address of this machine. No port is open")
		}
		return exitFailed
	}
	return exitOK
}

// given reports whether a flag is on the command line.
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

// printErrors writes each error as a line "error:" and a line "hint:".
func printErrors(w io.Writer, err error) {
	all := configerror.All(err)
	if len(all) == 0 {
		fmt.Fprintf(w, "error: %v\n", err)
	}
	for _, e := range all {
		if position := e.Position(); position != "" {
			fmt.Fprintf(w, "error: %s: %s\n", position, e.What)
		} else {
			fmt.Fprintf(w, "error: %s\n", e.What)
		}
		if e.Hint != "" {
			fmt.Fprintf(w, "hint: %s\n", e.Hint)
		}
	}
}
