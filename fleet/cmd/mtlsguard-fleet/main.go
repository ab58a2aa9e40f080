// Command mtlsguard-fleet edits and watches the generations of a fleet: the users, the policy and the
// trust that many nodes share.
//
//	mtlsguard-fleet push fleet --store URL --note "partner B renews"   check a folder and commit it
//	mtlsguard-fleet status --store URL                                 what each node has in effect
//	mtlsguard-fleet log --store URL                                    who changed what, and why
//	mtlsguard-fleet rollback 41 --store URL                            users and policy of generation 41
//	mtlsguard-fleet users add --store URL --cert b.pem --user partner-b
//
// Results go to standard output, "error:" and "hint:" lines to standard error. The exit
// status is 0 for yes, 1 for no, and 2 for an error. Every command has --json. docs/fleet.md
// has the steps.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
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
	exitNo      = 1 // a conflict, a commit that needs --yes, or a node that is not up to date
	exitInvalid = 2 // the command line, a file or the store has an error
)

// cli is the command line.
type cli struct {
	JSON    bool                `name:"json" help:"Print the result as JSON."`
	Version console.VersionFlag `name:"version" short:"V" help:"Print the version."`

	Push     pushCmd     `cmd:"" help:"Check a folder as a node would, show what changes, and commit it."`
	Log      logCmd      `cmd:"" help:"List the generations with time, author and note."`
	Show     showCmd     `cmd:"" help:"Show a generation, or write its files into a folder."`
	Diff     diffCmd     `cmd:"" help:"Show what changed from one generation to another."`
	Rollback rollbackCmd `cmd:"" help:"Commit the users and the policy of an older generation again."`
	Status   statusCmd   `cmd:"" help:"Show which generation each node has in effect."`
	Users    usersCmd    `cmd:"" help:"Change the mappings of the newest generation."`
	Sign     signCmd     `cmd:"" help:"Sign a pending generation."`
	Keygen   keygenCmd   `cmd:"" help:"Make a key for signatures."`
	Seed     seedCmd     `cmd:"" help:"Put a generation into the keep of a node, for images and first starts."`
	Prune    pruneCmd    `cmd:"" help:"Remove old generations from the store."`
}

// app holds the streams and settings that every command uses.
type app struct {
	ctx       context.Context
	stdout    io.Writer
	json      bool
	now       func() time.Time
	committed uint64 // the generation that the command has committed; 0: none
}

// run runs a command line and returns the exit status. Output that cannot be written makes
// the status exitInvalid, whatever the result is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	out := &console.Output{W: stdout}
	a := &app{ctx: ctx, stdout: out, now: time.Now}
	code, hint, err := a.run(args, stderr)
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
func (a *app) run(args []string, stderr io.Writer) (code int, hint string, err error) {
	defer console.OnExit(&code)
	var c cli
	args = console.ExpandWords(args)
	parser, err := console.New(&c, "mtlsguard-fleet", "Edit and watch the generations of a fleet: the users, policy and trust that many nodes share.",
		a.stdout, stderr, kong.Vars{"storeSchemes": storeflag.Schemes()}, console.OnlyCommand(c, args))
	if err != nil {
		return exitInvalid, "", err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return exitInvalid, console.UsageHint("mtlsguard-fleet", err), err
	}
	a.json = c.JSON
	err = parsed.Run(a)
	negative := (*refused)(nil)
	switch {
	case err == nil:
		return exitYes, "", nil
	case errors.Is(err, console.ErrNegative): // kong wraps the error
		return exitNo, "", nil
	case errors.As(err, &negative):
		return exitNo, "", negative.error
	default:
		return exitInvalid, "mtlsguard-fleet " + console.Name(parsed.Command()) + " --help", err
	}
}

// refused is the error of a command whose answer is no: the exit status is 1.
type refused struct{ error }

// outputError returns the error for a result that is missing or incomplete.
func (a *app) outputError(err error) error {
	what, hint := "standard output cannot be written: "+err.Error(), "the result is incomplete: send it where there is space"
	if a.committed != 0 {
		what, hint = fmt.Sprintf("%s; generation %d is committed", what, a.committed), "the result alone is incomplete: do not repeat the command"
	}
	return console.UsageError(what, hint)
}

// printJSON writes a result to standard output as JSON.
func (a *app) printJSON(v any) error { return console.PrintJSON(a.stdout, v) }

// printf writes a part of a result to standard output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.stdout, format, args...) }

// printTable writes rows with aligned columns.
func (a *app) printTable(rows [][]string) { console.PrintTable(a.stdout, "", rows) }
