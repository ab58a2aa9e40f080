package main

import (
	"errors"

	"github.com/mtlsguard/mtlsguard/internal/probe"
)

type checkCmd struct {
	Addr   string `arg:"" name:"host:port" help:"The server."`
	Path   string `arg:"" optional:"" default:"/" help:"What is asked for, with GET."`
	Cacert string `placeholder:"FILE" help:"What the server's certificate must lead to. Default: the system's authorities."`
	Name   string `name:"host-name" placeholder:"NAME" help:"What the server is called, if not HOST."`
	clientFlags
}

func (*checkCmd) Help() string {
	return `Connects once, as a client with this certificate or with none, sends GET, and tells who refused whom: the server by an alert, the server by its answer, or this side because of the server's certificate.

Examples:
  mtlsguard check localhost:8443 --cacert server-ca.pem --cert alice.pem --key alice-key.pem
  mtlsguard check localhost:8443 /orders/7 --cacert server-ca.pem --cert alice.p12 --password-file password.txt
  mtlsguard check localhost:8443 --cacert server-ca.pem

Exit status: 0 an answer below 400, 1 refused or no answer, 2 the question is wrong.`
}

func (c *checkCmd) Run(a *app) error {
	if err := errors.Join(validateAddr(c.Addr), validateTarget(c.Path)); err != nil {
		return err
	}
	pair, err := c.readPair(a)
	if err != nil {
		return err
	}
	config := probe.Config{Addr: c.Addr, ServerName: c.Name, Certificate: pair, Method: "GET", Path: c.Path}
	if config.Roots, err = readRoots(c.Cacert); err != nil {
		return err
	}
	r := probe.Run(a.ctx, config)
	if a.json {
		err = a.printJSON(newProbeReport(r, pair))
	} else {
		printProbe(a, r, pair)
	}
	if err == nil && r.RefusedBy != probe.NoSide {
		return errNegative
	}
	return err
}
