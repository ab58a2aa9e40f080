// Command mtlsguardd is `mtlsguard serve` with all that has dependencies of its own: metrics for
// Prometheus, traces for OpenTelemetry, and the stores of a fleet.
//
//	mtlsguardd --config mtlsguard.yaml
//	MTLSGUARD_STORE=nats://nats.acme.example mtlsguardd --config mtlsguard.yaml
//
// The exit status is 0 when a signal ended it, and 2 when it could not serve. docs/serve.md has
// the steps.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/daemon"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitEnded   = 0
	exitInvalid = 2 // the command line, a file or the store has an error
)

// cli is the command line.
type cli struct {
	JSON    bool                `name:"json" help:"Print one JSON object in place of the line ready."`
	Version console.VersionFlag `name:"version" short:"V" help:"Print the version."`

	Serve daemon.Flags    `embed:""`
	Store storeflag.Flags `embed:""`
	Trace traceFlags      `embed:""`
}

// run runs a command line and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer console.OnExit(&code)
	if err := serve(ctx, args, stdout, stderr); err != nil {
		console.PrintErrors(stderr, err, "mtlsguardd --help")
		return exitInvalid
	}
	return exitEnded
}
