package main

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/duration"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type lintCmd struct {
	Config string   `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Within string   `placeholder:"TIME" help:"Report what expires within this time, such as 60d or 12h. Default: 30d, but at most a fifth of a certificate's lifetime and a tenth of a CRL's."`
	Certs  string   `placeholder:"FOLDER" help:"A folder with the clients' certificates, to find mappings of certificates that expire."`
	Ignore []string `placeholder:"TEXT" help:"Leave out findings that contain TEXT."`
}

func (*lintCmd) Help() string {
	return `Finds settings that load and are probably not intended: shadowed and dead rules, groups without members, users without rules, mappings, certificates and anchors that expire, an authority that issues for gateways and for users, ports open to Default.

Examples:
  mtlsguard lint --config mtlsguard.yaml
  mtlsguard lint --config mtlsguard.yaml --within 60d --certs clients --ignore "open to Default"

A note explains a line, such as {user} in a rule: nothing is wrong there.

Exit status: 0 no findings or notes alone, 1 findings, 2 the configuration does not load.`
}

// finding is an element of the JSON of lint.
type finding struct {
	About string `json:"about"` // users, policy, trust, ports or quotas
	File  string `json:"file"`
	Line  int    `json:"line,omitempty"`
	What  string `json:"what"`
	Hint  string `json:"hint,omitempty"`
	Note  bool   `json:"note,omitempty"` // nothing is wrong
}

func (c *lintCmd) Run(a *app) error {
	var within time.Duration
	if c.Within != "" {
		var err error
		if within, err = duration.Parse(c.Within); err != nil || within <= 0 {
			return usageError("--within: "+strconv.Quote(c.Within)+" is not a time above 0", duration.Hint)
		}
	}
	certs, err := c.readCertificates(a)
	if err != nil {
		return err
	}
	all, err := mtlsguard.Lint(c.Config, mtlsguard.LintOptions{Within: within, Now: a.now, Certificates: certs, Options: mtlsguard.Options{Source: source.Kept(), Certificates: programCertificates(c.Config)}})
	if err != nil {
		return err
	}
	out := []finding{}
	for _, f := range all {
		if !slices.ContainsFunc(c.Ignore, func(text string) bool { return strings.Contains(f.String(), text) }) {
			out = append(out, finding{f.About, f.File, f.Line, f.What, f.Hint, f.Note})
		}
	}
	if a.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		for _, f := range out {
			at := &configerror.Error{File: f.File, Line: f.Line}
			what := escape.Printable(f.What, 0)
			if f.Note {
				what = "note: " + what
			}
			a.printf("%s: %s\n", at.Position(), what)
			if f.Hint != "" {
				a.printf("    %s\n", escape.Printable(f.Hint, 0))
			}
		}
	}
	if slices.ContainsFunc(out, func(f finding) bool { return !f.Note }) {
		return errNegative
	}
	return nil
}

// readCertificates reads the folder of --certs. It skips files without a certificate,
// because such folders hold keys too.
func (c *lintCmd) readCertificates(a *app) ([]*x509.Certificate, error) {
	if c.Certs == "" {
		return nil, nil
	}
	files, err := os.ReadDir(c.Certs)
	if err != nil {
		return nil, usageError("--certs: the folder "+strconv.Quote(c.Certs)+" cannot be read", "--certs FOLDER with certificates")
	}
	var out []*x509.Certificate
	for _, f := range files {
		switch filepath.Ext(f.Name()) {
		case ".pem", ".crt", ".cer", ".der":
		default:
			continue
		}
		entries, err := certfile.Read(filepath.Join(c.Certs, f.Name()), certfile.Passwords{})
		if err != nil {
			continue
		}
		for _, e := range entries {
			out = append(out, e.Chain...)
		}
	}
	if len(out) == 0 {
		return nil, usageError("--certs: the folder "+strconv.Quote(c.Certs)+" has no certificate", "certificates are read from files that end in .pem, .crt, .cer or .der")
	}
	return out, nil
}
