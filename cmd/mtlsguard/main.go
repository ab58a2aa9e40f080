// Command mtlsguard explains why a client certificate is refused.
//
//	mtlsguard serve --config mtlsguard.yaml          guard services that are not Go programs
//	mtlsguard demo                                   serve a sample configuration
//	mtlsguard explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7
//	mtlsguard inspect alice.pem                      show a certificate and its mappings
//	mtlsguard inspect HOST:PORT                      show which certificates a server requests
//	mtlsguard check HOST:PORT --cert alice.pem --key alice-key.pem
//	mtlsguard lint --config mtlsguard.yaml           find settings that are probably wrong
//
// Results go to standard output, "error:" and "hint:" lines to standard error. The exit
// status is 0 for yes, 1 for no, and 2 for an error in the command line or in a file
// that it names. Every command has --json. docs/command.md has the rules, the JSON
// fields and a transcript of each command.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mtlsguard/mtlsguard/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err := os.Stdout.Close(); err != nil && code != exitInvalid { // some file systems report a full disk here
		console.PrintErrors(os.Stderr, (&app{}).outputError(err), "")
		code = exitInvalid
	}
	os.Exit(code)
}

// Exit statuses.
const (
	exitYes     = 0
	exitNo      = 1 // the request is refused, lint has findings, or a test row differs
	exitInvalid = 2 // the command line, or a file that it names, has an error
)

// cli is the command line.
type cli struct {
	JSON    bool                `name:"json" help:"Print the result as JSON."`
	Version console.VersionFlag `name:"version" short:"V" help:"Print the version."`

	Serve      serveCmd      `cmd:"" help:"Serve the ports of a configuration in front of other services."`
	Demo       demoCmd       `cmd:"" help:"Serve a sample configuration with throwaway certificates."`
	Explain    explainCmd    `cmd:"" help:"Show whether a request is allowed, and why."`
	Inspect    inspectCmd    `cmd:"" help:"Show the content of a certificate, or which certificates a server requests."`
	Check      checkCmd      `cmd:"" help:"Connect once as a client, and report which side refused and why."`
	Lint       lintCmd       `cmd:"" help:"Find settings that load and are probably wrong."`
	Users      usersCmd      `cmd:"" help:"List and change the mappings from certificates to users."`
	Policy     policyCmd     `cmd:"" help:"Test a policy."`
	Keys       keysCmd       `cmd:"" help:"Extract keys and certificates from keystores."`
	Import     importCmd     `cmd:"" help:"Import mappings and access lists from other programs."`
	Who        whoCmd        `cmd:"" help:"List the users who may make a request, and by which rules and mappings."`
	Revoked    revokedCmd    `cmd:"" help:"Show on which ports a certificate is revoked, with the proof."`
	Log        logCmd        `cmd:"" help:"Find lines in a server's log, and count them."`
	Status     statusCmd     `cmd:"" help:"Show the state of a running server."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// app holds the streams and settings that every command uses.
type app struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	now            func() time.Time
	model          *kong.Application
	changed        string // the file that the command has changed
}

// run runs a command line and returns the exit status. Output that cannot be written makes
// the status exitInvalid, whatever the result is.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &console.Output{W: stdout}
	a := &app{ctx: ctx, stdin: stdin, stdout: out, stderr: stderr, now: time.Now}
	code, hint, err := a.run(args)
	switch {
	case out.Err != nil:
		console.PrintErrors(stderr, a.outputError(out.Err), "")
		return exitInvalid
	case err != nil:
		console.PrintErrors(stderr, err, hint)
	}
	return code
}

// run runs a command line. hint is for errors that have none.
func (a *app) run(args []string) (code int, hint string, err error) {
	defer console.OnExit(&code)
	var c cli
	args = console.ExpandWords(args)
	parser, err := console.New(&c, "mtlsguard", "Explain, check and edit mtlsguard's client certificates, users and policies.",
		a.stdout, a.stderr, console.OnlyCommand(c, args))
	if err != nil {
		return exitInvalid, "", err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return exitInvalid, console.UsageHint("mtlsguard", err), err
	}
	a.json, a.model = c.JSON, parser.Model
	switch err := parsed.Run(a); {
	case err == nil:
		return exitYes, "", nil
	case errors.Is(err, errNegative): // kong wraps the error
		return exitNo, "", nil
	default:
		return exitInvalid, "mtlsguard " + console.Name(parsed.Command()) + " --help", err
	}
}
