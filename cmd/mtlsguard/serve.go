package main

import (
	"errors"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
)

type serveCmd struct {
	Config       string  `required:"" placeholder:"FILE" help:"The configuration, mtlsguard.yaml."`
	Debug        bool    `help:"Add the explanation of each refusal to its answer: callers then see users, mappings and rules."`
	StatusSocket *string `placeholder:"FILE" help:"A unix socket for mtlsguard status. Default: none."`
	Probes       *string `placeholder:"HOST:PORT" help:"Answer GET /ready and GET /live there, without TLS: no caller may reach it. Default: nowhere."`
}

func (*serveCmd) Help() string {
	return `Opens the ports of the configuration, and forwards the requests that it allows to the upstream of each port, with the caller in headers. Decisions, refused handshakes, reloads and failures of an upstream are JSON lines on standard error; the line ready on standard output means that every port is open. A changed file takes effect by itself; SIGHUP reads the files at once. SIGINT and SIGTERM drain the ports and end the command.

Examples:
  mtlsguard serve --config mtlsguard.yaml
  mtlsguard serve --config mtlsguard.yaml --probes 127.0.0.1:8081 --status-socket status.sock

Exit status: 0 a signal ended it, 2 it could not serve.`
}

func (c *serveCmd) Run(a *app) error {
	options := mtlsguard.Options{Log: mtlsguard.JSONLog(a.stderr, nil), Debug: c.Debug}
	for _, one := range []struct {
		flag  string
		value *string
	}{{"--status-socket", c.StatusSocket}, {"--probes", c.Probes}} {
		if one.value != nil && *one.value == "" { // an unset variable of a script, say
			return usageError(one.flag+" is empty", "leave "+one.flag+" out for none")
		}
	}
	if c.StatusSocket != nil {
		options.StatusSocket = *c.StatusSocket
	}
	defer redirectStandardLog(options.Log)()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	var server *mtlsguard.Server
	options.Ready = func() { _ = printReady(a, server) } // serve even if standard output is closed
	server, err := mtlsguard.Open(c.Config, options)
	if err != nil {
		return err
	}
	if c.Probes != nil {
		probes, err := serveProbes(*c.Probes, server.Readiness())
		if err != nil {
			return usageError(err.Error(), "--probes HOST:PORT of this machine, which no other program has")
		}
		defer probes.Close()
	}
	go func() {
		for {
			select {
			case <-hangup:
				_ = server.Reload() // the result is in the log
			case <-a.ctx.Done():
				return
			}
		}
	}()
	err = server.Serve(a.ctx, nil)
	if err == nil || len(configerror.All(err)) > 0 {
		return err
	}
	out := &configerror.Error{What: err.Error()}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		out.Hint = "no port is open. Change listen, or stop the other program"
	}
	return out
}

// serveReport is the JSON of serve, when every port is open.
type serveReport struct {
	Ready bool         `json:"ready"`
	Ports []servedPort `json:"ports"`
}

// printReady prints that every port is open.
func printReady(a *app, server *mtlsguard.Server) error {
	if !a.json {
		a.printf("ready\n")
		return nil
	}
	out := serveReport{Ready: true, Ports: []servedPort{}}
	for _, p := range server.Ports() {
		out.Ports = append(out.Ports, servedPort{p.Name(), p.Addr().String()})
	}
	return a.printJSON(out)
}
