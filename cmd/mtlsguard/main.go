// Command mtlsguard answers the questions that a refused certificate raises.
//
//	mtlsguard demo                                   a server to try everything on
//	mtlsguard explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7
//	mtlsguard inspect alice.pem                      what mtlsguard sees in a certificate
//	mtlsguard inspect HOST:PORT                      what a server asks for
//	mtlsguard check HOST:PORT --cert alice.pem --key alice-key.pem
//	mtlsguard lint --config mtlsguard.yaml           what loads and is probably wrong
//
// Results are on standard output, "error:" and "hint:" lines on standard error. The
// exit status is 0 for yes, 1 for no, and 2 where the question is wrong. Every verb
// has --json. docs/command.md has the rules, the fields and a transcript of each.
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitYes     = 0
	exitNo      = 1 // a refusal explained, something found, an expectation not met
	exitInvalid = 2 // the command line, or a file that it names
)

// cli is the command line.
type cli struct {
	JSON    bool        `name:"json" help:"Print the result as JSON."`
	Version versionFlag `name:"version" short:"V" help:"Print the version."`

	Demo       demoCmd       `cmd:"" help:"Make a throwaway setting and serve it."`
	Explain    explainCmd    `cmd:"" help:"Tell what the server says to a request, and why."`
	Inspect    inspectCmd    `cmd:"" help:"Tell what is in a certificate, or what a server asks for."`
	Check      checkCmd      `cmd:"" help:"Be a client once, and tell which side refused and why."`
	Lint       lintCmd       `cmd:"" help:"Find what loads and is probably wrong."`
	Users      usersCmd      `cmd:"" help:"List and change the mappings from certificates to users."`
	Policy     policyCmd     `cmd:"" help:"Test a policy."`
	Keys       keysCmd       `cmd:"" help:"Take keys and certificates out of keystores."`
	Completion completionCmd `cmd:"" help:"Print a completion script for a shell."`
}

// app is what a verb works with.
type app struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	json           bool
	now            func() time.Time
	model          *kong.Application
}

// ended is how kong's help and version end a run.
type exitStatus int

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exitStatus:
			code = int(p)
		default:
			panic(p)
		}
	}()
	var c cli
	parser, err := kong.New(&c, kong.Name("mtlsguard"),
		kong.Description("Client certificates, users and access lists: why is this caller refused?"),
		kong.Writers(stdout, stderr), kong.Exit(func(status int) { panic(exitStatus(status)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
	if err != nil {
		printErrors(stderr, err, "")
		return exitInvalid
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		printErrors(stderr, err, usageHint(err))
		return exitInvalid
	}
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, json: c.JSON, now: time.Now, model: parser.Model}
	switch err := parsed.Run(a); {
	case err == nil:
		return exitYes
	case errors.Is(err, errNegative): // kong wraps it
		return exitNo
	default:
		printErrors(stderr, err, "mtlsguard "+commandName(parsed.Command())+" --help")
		return exitInvalid
	}
}

// usage is the hint for a command line that cannot be read.
func usageHint(err error) string {
	if e, ok := err.(*kong.ParseError); ok && e.Context.Selected() != nil {
		return "mtlsguard " + commandName(e.Context.Command()) + " --help"
	}
	return "mtlsguard --help"
}
