// Package daemon serves a configuration file in front of services of any kind. It is what the
// commands `mtlsguard serve` and mtlsguardd have in common.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/admin"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
)

// Flags are the flags of both commands, with the tags of kong.
type Flags struct {
	Config       string  `required:"" placeholder:"FILE" help:"The configuration, mtlsguard.yaml."`
	Debug        bool    `help:"Add the explanation of each refusal to its answer: callers then see users, mappings and rules."`
	StatusSocket *string `placeholder:"FILE" help:"A unix socket for mtlsguard status. Default: none."`
	Probes       *string `placeholder:"HOST:PORT" help:"Answer GET /ready and GET /live there, without TLS: no caller may reach it. Default: nowhere."`
}

// Program is what a command adds to the core. The zero value adds nothing.
type Program struct {
	Stdout, Stderr io.Writer
	JSON           bool
	// Source opens what brings the files of a fleet; nil: source of the file has a url, or all files
	// are on disk. The function that it returns closes it.
	Source func(context.Context) (source.Source, func(), error)
	// Around wraps what forwards requests; nil wraps nothing.
	Around func(http.Handler) http.Handler
	// Metrics makes what serves the block metrics of the file; nil: the block is an error.
	Metrics func() (Part, error)
}

// Help is the part of the commands' help that they have in common.
const Help = `Opens the ports of the configuration, and forwards the requests that it allows to the upstream of each port, with the caller in headers. Decisions, refused handshakes, reloads and failures of an upstream are JSON lines on standard error; the line ready on standard output means that every port is open. A changed file takes effect by itself; SIGHUP reads the files at once. SIGINT and SIGTERM drain the ports and end the command.`

// options returns the settings of the server.
func (f *Flags) options(p *Program) (mtlsguard.Options, error) {
	parts := &parts{}
	out := mtlsguard.Options{
		Log: mtlsguard.JSONLog(p.Stderr, nil), Debug: f.Debug, Observe: parts.Observe, OnHandshake: parts.OnHandshake,
		Around:  p.Around,
		Admin:   parts.serve(func() (Part, error) { return admin.New(admin.Config{}) }),
		Metrics: noMetrics,
	}
	if p.Metrics != nil {
		out.Metrics = parts.serve(p.Metrics)
	}
	for _, one := range []struct {
		flag  string
		value *string
	}{{"--status-socket", f.StatusSocket}, {"--probes", f.Probes}} {
		if one.value != nil && *one.value == "" { // for example an unset variable of a script
			return out, console.UsageError(one.flag+" is empty", "leave "+one.flag+" out for none")
		}
	}
	if f.StatusSocket != nil {
		out.StatusSocket = *f.StatusSocket
	}
	return out, nil
}

// Run serves until ctx ends. From then on the process ignores SIGPIPE: otherwise it would end, with
// all its ports, when the reader of its log goes away. Lines of a log without a reader are counted
// as lost.
func (f *Flags) Run(ctx context.Context, p *Program) error {
	signal.Ignore(syscall.SIGPIPE)
	options, err := f.options(p)
	if err != nil {
		return err
	}
	defer redirectStandardLog(options.Log)()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	server, end, err := f.open(ctx, p, options)
	if server == nil {
		return err
	}
	defer end()
	if f.Probes != nil {
		probes, err := serveProbes(*f.Probes, server.Readiness())
		if err != nil {
			return console.UsageError(err.Error(), "--probes HOST:PORT of this machine, which no other program has")
		}
		defer probes.Close()
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
	err = server.Serve(ctx, nil)
	if err == nil || len(configerror.All(err)) > 0 {
		return err
	}
	out := &configerror.Error{What: err.Error()}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		out.Hint = "no port is open. Change listen, or stop the other program"
	}
	return out
}

// open opens the source and the server. It returns no server and no error if ctx ends before: a node without a
// generation waits for its store, which may not answer. Work that it has begun ends with the process.
func (f *Flags) open(ctx context.Context, p *Program, options mtlsguard.Options) (*mtlsguard.Server, func(), error) {
	type opened struct {
		server *mtlsguard.Server
		end    func()
		err    error
	}
	done := make(chan opened, 1)
	go func() {
		out := opened{end: func() {}}
		defer func() { done <- out }()
		if p.Source != nil {
			if options.Source, out.end, out.err = p.Source(ctx); out.err != nil {
				return
			}
		}
		options.Ready = func() { _ = p.printReady(out.server) } // serve even if standard output is closed
		out.server, out.err = mtlsguard.Open(f.Config, options)
		if out.err != nil {
			out.end()
		}
	}()
	select {
	case o := <-done:
		return o.server, o.end, o.err
	case <-ctx.Done():
		return nil, nil, nil
	}
}

// Ready is the JSON of the command, when every port is open.
type Ready struct {
	Ready bool   `json:"ready"`
	Ports []Port `json:"ports"`
}

// Port is a port that is open.
type Port struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

// printReady prints that every port is open.
func (p *Program) printReady(server *mtlsguard.Server) error {
	if !p.JSON {
		_, err := fmt.Fprintln(p.Stdout, "ready")
		return err
	}
	out := Ready{Ready: true, Ports: []Port{}}
	for _, one := range server.Ports() {
		out.Ports = append(out.Ports, Port{one.Name(), one.Addr().String()})
	}
	return console.PrintJSON(p.Stdout, out)
}
