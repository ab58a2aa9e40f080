// Command reverse is a gateway, and a server behind it that opens no port.
//
//	go run ./examples/reverse gateway     # in one terminal: prints curl lines, then ready
//	go run ./examples/reverse internal    # in another: dials the gateway, prints ready
//
// Clients call the gateway with their certificates. The server identifies them: it verifies
// and maps their certificates, and authorizes. Either program may be killed and started
// again while the other runs. SIGINT and SIGTERM end both with status 0. Both write JSON
// log lines to standard error.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	ok         = 0
	failed     = 1 // it could not serve
	usageError = 2 // the command line is wrong
)

const usage = "usage: reverse gateway | internal [flags]\n"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, "error: the command is missing\nhint: ", usage)
		return usageError
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	registrations := flags.String("registrations", registrationsAt, "`address` of the gateway's port for servers")
	var external *string
	switch args[0] {
	case "gateway":
		external = flags.String("external", externalAt, "`address` of the port for clients")
	case "internal":
	default:
		fmt.Fprintf(stderr, "error: unknown command %q\nhint: %s", args[0], usage)
		return usageError
	}
	switch err := flags.Parse(args[1:]); {
	case err == flag.ErrHelp:
		return ok
	case err != nil:
		return usageError
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "error: unknown argument %q\nhint: -h shows the flags\n", flags.Arg(0))
		return usageError
	}
	files, handler := files{*registrations, externalAt}, orders()
	if external != nil {
		files.external, handler = *external, http.NotFoundHandler() // every request goes through a tunnel
	}
	options := mtlsguard.Options{Log: mtlsguard.JSONLog(stderr, nil), Ready: func() {
		if external != nil {
			printCurl(stdout, *external)
		}
		fmt.Fprintln(stdout, "ready")
	}}
	server, err := mtlsguard.OpenFS(files, args[0]+".yaml", options)
	if err == nil {
		err = server.Serve(ctx, handler)
	}
	if err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: if another program uses the address, choose another one with -registrations or -external\n", err)
		return failed
	}
	return ok
}
