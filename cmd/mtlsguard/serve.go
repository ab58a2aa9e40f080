package main

import "github.com/mtlsguard/mtlsguard/internal/daemon"

type serveCmd struct{ daemon.Flags }

func (*serveCmd) Help() string {
	return daemon.Help + `

Examples:
  mtlsguard serve --config mtlsguard.yaml
  mtlsguard serve --config mtlsguard.yaml --probes 127.0.0.1:8081 --status-socket status.sock

Exit status: 0 a signal ended it, 2 it could not serve.`
}

func (c *serveCmd) Run(a *app) error {
	return c.Flags.Run(a.ctx, &daemon.Program{Stdout: a.stdout, Stderr: a.stderr, JSON: a.json})
}
