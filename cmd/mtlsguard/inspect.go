package main

import (
	"cmp"
	"net"
	"os"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/reason"
)

type inspectCmd struct {
	Targets []string `arg:"" name:"cert|host:port|url" help:"Files with certificates, or servers."`
	Cacert  string   `placeholder:"FILE" help:"For servers: the trust anchors for their certificates. Default: the system's. Untrusted servers are inspected too."`
	Name    string   `name:"host-name" placeholder:"NAME" help:"The name in the server's certificate. Default: HOST."`
	clientFlags
}

func (*inspectCmd) Help() string {
	return `For a file: the issuer and the dates of the certificate, whether the profiles accept it, and every value that a mapping can name, ready for users.yaml. For a server: whether it requests a certificate, from which authorities, and its answer to this certificate or to none.

Examples:
  mtlsguard inspect alice.pem
  mtlsguard inspect alice.p12 --password-file password.txt
  mtlsguard inspect localhost:8443 --cacert server-ca.pem
  mtlsguard inspect localhost:8443 --cacert server-ca.pem --cert alice.pem --key alice-key.pem

Exit status: 0 no problem was found, 1 a certificate is expired or not for clients, or a server cannot be reached or refuses the certificate, 2 a file cannot be read.`
}

// inspection is an element of the JSON of inspect.
type inspection struct {
	File  string `json:"file,omitempty"`
	Entry string `json:"entry,omitempty"` // alias in a keystore
	*report.Inspection
	Server *probeReport `json:"server,omitempty"`
}

func (c *inspectCmd) Run(a *app) error {
	password, err := c.readPasswords(a)
	if err != nil {
		return err
	}
	var all []inspection
	bad := false
	for _, target := range c.Targets {
		if isServer(target) {
			addr, path, err := parseServer(target)
			if err != nil {
				return err
			}
			r, err := c.inspectServer(a, addr, cmp.Or(path, "/"))
			if err != nil {
				return err
			}
			bad = bad || c.isRefusal(r)
			if !a.json {
				continue
			}
			all = append(all, inspection{Server: r})
			continue
		}
		entries, err := certfile.Read(target, password)
		if err != nil {
			return err
		}
		for _, e := range entries {
			for i, cert := range append(e.Chain, e.Replaced...) {
				in := inspection{File: target, Inspection: report.Inspect(cert, a.now())}
				if len(entries) > 1 {
					in.Entry = e.Alias
				}
				bad = bad || in.Expired || i == 0 && !in.Authority && in.Profiles[0].Reason != ""
				all = append(all, in)
			}
		}
	}
	if a.json {
		if err := a.printJSON(all); err != nil {
			return err
		}
	} else {
		for i, in := range all {
			if i > 0 {
				a.printf("\n")
			}
			in.print(a)
		}
	}
	if bad {
		return errNegative
	}
	return nil
}

// isServer reports whether an argument is HOST:PORT or a URL, and not a file.
func isServer(target string) bool {
	if _, err := os.Lstat(target); err == nil {
		return false
	}
	if strings.Contains(target, "://") {
		return true
	}
	host, port, err := net.SplitHostPort(target)
	return err == nil && host != "" && port != "" && !strings.ContainsAny(target, "/\\")
}

// isRefusal reports whether a server gave no answer or refused the given certificate. A
// server that requires a certificate when none was given is no refusal, and neither is a
// decision about the path.
func (c *inspectCmd) isRefusal(r *probeReport) bool {
	switch {
	case r.Refused == probe.NoSide:
		return false
	case r.Refused != probe.Server:
		return true
	case c.Cert == "":
		return false
	}
	return r.Alert != nil || r.Reason != "" && r.Reason != reason.NoRule && r.Reason != reason.Denied
}

// inspectServer connects to a server, and prints the report if it is text.
func (c *inspectCmd) inspectServer(a *app, addr, path string) (*probeReport, error) {
	pair, err := c.readPair(a)
	if err != nil {
		return nil, err
	}
	config := probe.Config{Addr: addr, ServerName: c.Name, Certificate: pair, IgnoreUntrusted: true, Method: "GET", Path: path}
	if config.Roots, err = readRoots(c.Cacert); err != nil {
		return nil, err
	}
	r := probe.Run(a.ctx, config)
	out := newProbeReport(r, pair)
	if !a.json {
		printProbe(a, r, pair)
	}
	return &out, nil
}

func (in *inspection) print(a *app) {
	title := in.File
	if in.Entry != "" {
		title += ", entry " + escape.Printable(in.Entry, 0)
	}
	a.printf("%s\n", title)
	dates := in.Cert.NotBefore + " to " + in.Cert.NotAfter
	switch {
	case in.Expired:
		dates += ", EXPIRED"
	default:
		dates += ", " + plural(in.Days, "day left", "days left")
	}
	kind := "a leaf"
	if in.Authority {
		kind = "an authority"
	}
	rows := [][]string{{"subject", in.Cert.Subject}, {"issuer", in.Cert.Issuer}, {"valid", dates}, {"is", kind + ", " + in.Key}}
	if in.Authority {
		rows = append(rows, []string{"serial", in.Cert.Serial}, []string{"fingerprint", in.Cert.Fingerprint}, []string{"spki", in.Spki})
	}
	for _, p := range in.Profiles {
		if in.Authority {
			break
		}
		text := "accepted, if its issuer is trusted"
		if p.Reason != "" {
			text = string(p.Reason) + ": " + escape.Printable(p.Detail, 0)
		}
		rows = append(rows, []string{p.Profile, text})
	}
	a.printTable("  ", rows)
	if in.Authority {
		return
	}
	a.printf("  mappings, for users.yaml:\n")
	for _, m := range in.Mappings {
		if m.Why != "" {
			name := m.Kind
			if m.Value != "" {
				name += " " + escape.Printable(m.Value, 0)
			}
			a.printf("    # %s: %s\n", name, escape.Printable(m.Why, 0))
			continue
		}
		a.printf("    %s\n", escape.Printable(m.Line, 0))
	}
}
