package main

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/alecthomas/kong"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/daemon"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/observe/prom"
	"github.com/mtlsguard/mtlsguard/source"
)

// Help implements kong's interface.
func (*cli) Help() string {
	return daemon.Help + `

With a block metrics in the file it serves metrics for Prometheus, and with --traces it sends a span of each allowed request to a collector of OpenTelemetry. With --store it is a node of a fleet: the block source of the file names what comes from the store.

Examples:
  mtlsguardd --config mtlsguard.yaml
  mtlsguardd --config mtlsguard.yaml --store fleet-store
  mtlsguardd --config mtlsguard.yaml --traces http://127.0.0.1:4318/v1/traces

Exit status: 0 a signal ended it, 2 it could not serve.`
}

// serve reads the command line, and serves until ctx ends.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var c cli
	parser, err := console.New(&c, "mtlsguardd", "", stdout, stderr,
		kong.Vars{"storeSchemes": storeflag.Schemes()}, kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))
	if err != nil {
		return err
	}
	if _, err := parser.Parse(console.ExpandWords(args)); err != nil {
		return err
	}
	program := &daemon.Program{Stdout: stdout, Stderr: stderr, JSON: c.JSON, Metrics: func() (daemon.Part, error) { return prom.New(prom.Config{}) }}
	around, endTraces, err := c.Trace.open(ctx, mtlsguard.JSONLog(stderr, nil))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, endTraces()) }()
	program.Around = around
	if c.Store.Store != "" {
		program.Source = c.openStore
	}
	return c.Serve.Run(ctx, program)
}

// openStore opens the store of the fleet to which the file belongs, and returns what closes it.
func (c *cli) openStore(ctx context.Context) (source.Source, func(), error) {
	settings, err := site.ReadSource(c.Serve.Config, fileset.New(nil), site.Program{AnySource: true})
	switch {
	case err != nil:
		return nil, nil, err
	case settings == nil:
		return nil, nil, console.UsageError("--store is set, and "+c.Serve.Config+" has no source", "add source: {mount: fleet, keep: FOLDER, signers: [FILE]}, or leave --store and MTLSGUARD_STORE out")
	case settings.URL.Value != "":
		return nil, nil, console.UsageError("--store is set, and source of "+c.Serve.Config+" has a url", "remove url, or leave --store and MTLSGUARD_STORE out")
	}
	return c.Store.Open(ctx, cmp.Or(c.Store.Fleet, settings.Fleet))
}
