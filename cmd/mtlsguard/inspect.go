package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"os"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

type inspectCmd struct {
	What   []string `arg:"" name:"cert|host:port" help:"Files of certificates, or servers."`
	Cacert string   `placeholder:"FILE" help:"For servers: what their certificates lead to. Default: the system's authorities. They are looked at all the same."`
	Name   string   `name:"host-name" placeholder:"NAME" help:"What the server is called, if not HOST."`
	client
}

func (*inspectCmd) Help() string {
	return `Of a file: who issued the certificate and until when, what the profiles say of it, and every value that a mapping can name, ready for users.yaml. Of a server: whether it asks for a certificate and of whom, and what it says to this one, or to none.

Examples:
  mtlsguard inspect alice.pem
  mtlsguard inspect alice.p12 --password-file password.txt
  mtlsguard inspect localhost:8443 --cacert server-ca.pem
  mtlsguard inspect localhost:8443 --cacert server-ca.pem --cert alice.pem --key alice-key.pem

Exit status: 0 there is nothing wrong with it, 1 there is, 2 it cannot be read.`
}

// inspected is one of what inspect --json prints, a list.
type inspected struct {
	File      string             `json:"file,omitempty"`
	Entry     string             `json:"entry,omitempty"` // of a keystore
	Cert      *certificateReport `json:"certificate,omitempty"`
	Spki      string             `json:"spki,omitempty"`
	Key       string             `json:"key,omitempty"` // of the certificate: "ECDSA P-256"
	Authority bool               `json:"authority,omitempty"`
	Expired   bool               `json:"expired,omitempty"`
	Days      int                `json:"days_left,omitempty"`
	Mappings  []mappable         `json:"mappings,omitempty"`
	Profiles  []profileFinding   `json:"profiles,omitempty"`
	Server    *probeReport       `json:"server,omitempty"`
}

// mappable is a value that a mapping can name.
type mappable struct {
	Kind  string `json:"kind"`
	Value string `json:"value,omitempty"`
	Line  string `json:"line,omitempty"` // as it stands in users.yaml
	Why   string `json:"why,omitempty"`  // it cannot be mapped by
}

// profileFinding is what a profile says of a certificate, its issuer aside.
type profileFinding struct {
	Profile string        `json:"profile"`
	Reason  reason.Reason `json:"reason,omitempty"` // empty: it would do
	Detail  string        `json:"detail,omitempty"`
}

func (c *inspectCmd) Run(a *app) error {
	password, err := c.read(a)
	if err != nil {
		return err
	}
	var all []inspected
	bad := false
	for _, what := range c.What {
		if isServer(what) {
			r, err := c.server(a, what)
			if err != nil {
				return err
			}
			bad = bad || c.disappoints(r)
			if !a.json {
				continue
			}
			all = append(all, inspected{Server: r})
			continue
		}
		entries, err := certfile.Read(what, password)
		if err != nil {
			return err
		}
		for _, e := range entries {
			for i, cert := range e.Chain {
				in := inspect(cert, a.now())
				in.File = what
				if len(entries) > 1 {
					in.Entry = e.Alias
				}
				bad = bad || in.Expired || i == 0 && !in.Authority && in.Profiles[0].Reason != ""
				all = append(all, in)
			}
		}
	}
	if a.json {
		if err := a.emit(all); err != nil {
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
		return errNo
	}
	return nil
}

// isServer tells HOST:PORT from a file.
func isServer(what string) bool {
	if _, err := os.Lstat(what); err == nil {
		return false
	}
	host, port, err := net.SplitHostPort(what)
	return err == nil && host != "" && port != "" && !strings.ContainsAny(what, "/\\")
}

// disappoints reports whether there is no answer, or one against the certificate that
// was given. That a server wants one, where none was given, is what was asked; and what
// the path allows is none of it.
func (c *inspectCmd) disappoints(r *probeReport) bool {
	switch {
	case r.Refused == probe.Nobody:
		return false
	case r.Refused != probe.Server:
		return true
	case c.Cert == "":
		return false
	}
	return r.Alert != nil || r.Reason != "" && r.Reason != reason.NoRule && r.Reason != reason.Denied
}

func (c *inspectCmd) server(a *app, addr string) (*probeReport, error) {
	pair, err := c.pair(a)
	if err != nil {
		return nil, err
	}
	config := probe.Config{Addr: addr, ServerName: c.Name, Certificate: pair, Look: true, Method: "GET", Path: "/"}
	if config.Roots, err = roots(c.Cacert); err != nil {
		return nil, err
	}
	r := probe.Run(a.ctx, config)
	out := probed(r, pair)
	if !a.json {
		printProbe(a, r, pair)
	}
	return &out, nil
}

func inspect(c *x509.Certificate, now time.Time) inspected {
	in := inspected{
		Cert: brief(c), Spki: trust.SPKIOf(c).String(), Key: keyText(c), Authority: c.IsCA,
		Expired: now.After(c.NotAfter), Days: int(c.NotAfter.Sub(now).Hours() / 24), Profiles: profiles(c),
	}
	if !c.IsCA {
		in.Mappings = mappings(c)
	}
	return in
}

func (in *inspected) print(a *app) {
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
		text := "would do, if its issuer is believed"
		if p.Reason != "" {
			text = string(p.Reason) + ": " + escape.Printable(p.Detail, 0)
		}
		rows = append(rows, []string{p.Profile, text})
	}
	a.table("  ", rows)
	if in.Authority {
		return
	}
	a.printf("  mappings, for users.yaml:\n")
	for _, m := range in.Mappings {
		if m.Why != "" {
			a.printf("    # %s %s: %s\n", m.Kind, escape.Printable(m.Value, 0), escape.Printable(m.Why, 0))
			continue
		}
		a.printf("    %s\n", escape.Printable(m.Line, 0))
	}
}

// nameText is a name in DER as text.
func nameText(der []byte) string {
	if n, err := dn.FromDER(der); err == nil {
		return n.String()
	}
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return "a name that cannot be read"
	}
	var n pkix.Name
	n.FillFromRDNSequence(&rdns)
	return escape.Printable(n.String(), 0)
}
