package main

import (
	"cmp"
	"errors"
	"strconv"

	"github.com/mtlsguard/mtlsguard/internal/probe"
)

type checkCmd struct {
	Addr   string `arg:"" name:"host:port|url" help:"The server, as HOST:PORT or as a URL."`
	Path   string `arg:"" optional:"" help:"The path of the GET request. Default: the URL's, or /."`
	Cacert string `placeholder:"FILE" help:"The trust anchors for the server's certificate. Default: the system's."`
	Name   string `name:"host-name" placeholder:"NAME" help:"The name in the server's certificate. Default: HOST."`
	clientFlags
}

func (*checkCmd) Help() string {
	return `Connects once, with this client certificate or with none, sends a GET request, and reports which side refused: the server by an alert, the server by its answer, or the client because of the server's certificate.

Examples:
  mtlsguard check localhost:8443 --cacert server-ca.pem --cert alice.pem --key alice-key.pem
  mtlsguard check localhost:8443 /orders/7 --cacert server-ca.pem --cert alice.p12 --password-file password.txt
  mtlsguard check https://localhost:8443/whoami --cacert server-ca.pem --cert alice.pem --key alice-key.pem
  mtlsguard check localhost:8443 --cacert server-ca.pem

Exit status: 0 the answer is below 400, 1 either side refused or there is no answer, 2 an address, certificate or key is wrong.`
}

func (c *checkCmd) Run(a *app) error {
	addr, path, err := parseServer(c.Addr)
	switch {
	case path != "" && c.Path != "":
		err = errors.Join(err, usageError(strconv.Quote(c.Addr)+" has a path, and "+strconv.Quote(c.Path)+" is another", "name one path"))
	case path == "":
		path = cmp.Or(c.Path, "/")
	}
	if err := errors.Join(err, validateTarget(path)); err != nil {
		return err
	}
	pair, err := c.readPair(a)
	if err != nil {
		return err
	}
	config := probe.Config{Addr: addr, ServerName: c.Name, Certificate: pair, Method: "GET", Path: path}
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
