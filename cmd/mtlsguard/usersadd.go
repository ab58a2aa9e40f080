package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

type usersAddCmd struct {
	usersFlags
	Cert      string   `required:"" placeholder:"FILE" help:"The user's certificate; of a chain, the first."`
	User      string   `required:"" placeholder:"NAME" help:"The user."`
	By        string   `default:"fingerprint" enum:"fingerprint,spki,serial,uri,dns,email,subject" help:"What of the certificate is named: ${enum}. Default: ${default}, which a renewal changes."`
	Value     string   `placeholder:"TEXT" help:"Which one, where the certificate has several."`
	ID        string   `placeholder:"ID" help:"The mapping's id, for logs. Default: the user, with a number if it is taken."`
	Issuer    string   `placeholder:"FILE" help:"The certificate of the authority, from serial on. Default: the anchor of the configuration that issued it."`
	Ports     []string `placeholder:"NAME" help:"Only on these ports."`
	NotBefore string   `placeholder:"DATE" help:"In force from then on."`
	NotAfter  string   `placeholder:"DATE" help:"In force until then."`
	DryRun    bool     `help:"Print the line and change nothing."`
	passwordFlags
}

func (*usersAddCmd) Help() string {
	return `Writes one line more into the file of users, where a server would load the result; comments, order and every other line stay as they are. A server that watches its files takes it at once.

Examples:
  mtlsguard users add --config mtlsguard.yaml --cert stranger.pem --user stranger
  mtlsguard users add --config mtlsguard.yaml --cert orders.pem --user orders-batch --by subject --ports internal
  mtlsguard users add --users users.yaml --cert stranger.pem --user stranger --by spki --not-after 2030-01-01 --dry-run

Exit status: 0 it is written, 2 it is not.`
}

// change is what users add --json and users remove --json print.
type usersChange struct {
	File    string          `json:"file"`
	Line    string          `json:"line,omitempty"` // that was added
	Added   []mappingReport `json:"added,omitempty"`
	Removed []mappingReport `json:"removed,omitempty"`
	Written bool            `json:"written"`
}

func (c *usersAddCmd) Run(a *app) error {
	f, unlock, err := c.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read(f.data)
	if err != nil {
		return err
	}
	fields, err := c.fields(a, f, before)
	if err != nil {
		return err
	}
	next, err := usersfile.Add(f.name, f.data, fields)
	if err != nil {
		return err
	}
	out := usersChange{File: f.name, Line: usersfile.Format(f.name, fields), Written: !c.DryRun}
	return f.writeChange(a, next, before, out, func(added, removed []mappingReport) bool { return len(added) == 1 && len(removed) == 0 })
}

func (c *usersAddCmd) fields(a *app, f *usersFile, before []certmap.Mapping) ([]usersfile.Field, error) {
	password, err := c.readPasswords(a)
	if err != nil {
		return nil, err
	}
	entry, err := readClientEntry(c.Cert, password)
	if err != nil {
		return nil, err
	}
	leaf := entry.Chain[0]
	if leaf.IsCA {
		return nil, &configerror.Error{File: c.Cert, What: "this is the certificate of an authority, and would never be believed as a user's", Hint: "the user's own certificate stands first in its file"}
	}
	value, err := c.value(leaf)
	if err != nil {
		return nil, err
	}
	id := c.ID
	if id == "" {
		id = unusedID(c.User, before)
	}
	issuer := ""
	if c.Issuer != "" {
		issuer = relativeTo(f.name, c.Issuer)
	} else if needsIssuer(c.By) {
		if issuer, err = f.findIssuer(leaf); err != nil {
			return nil, err
		}
	}
	fields := mappingFields(id, c.User, c.By, value, issuer)
	if c.Ports != nil {
		fields = append(fields, usersfile.Field{Key: "ports", List: c.Ports})
	}
	for _, d := range []struct{ key, text string }{{"not_before", c.NotBefore}, {"not_after", c.NotAfter}} {
		if d.text != "" {
			fields = append(fields, usersfile.Field{Key: d.key, Text: d.text})
		}
	}
	return fields, nil
}

func (c *usersAddCmd) value(leaf *x509.Certificate) (string, error) {
	all, why := kindValues(leaf, c.By)
	switch {
	case why != "":
		return "", &configerror.Error{File: c.Cert, What: "the certificate cannot be mapped by its " + c.By + ": " + why, Hint: "mtlsguard inspect " + shellQuote(c.Cert) + " shows by what it can"}
	case c.Value != "" && slices.Contains(all, c.Value):
		return c.Value, nil
	case len(all) == 0:
		return "", &configerror.Error{File: c.Cert, What: "the certificate has no " + c.By, Hint: "mtlsguard inspect " + shellQuote(c.Cert) + " shows what it has"}
	case c.Value != "" || len(all) > 1:
		return "", &configerror.Error{File: c.Cert, What: "the certificate has another " + c.By + ", or several", Hint: "--value one of: " + escape.Printable(strings.Join(all[:min(len(all), maxNames)], ", "), 0)}
	}
	return all[0], nil
}

func unusedID(user string, taken []certmap.Mapping) string {
	for n := 1; ; n++ {
		id := user
		if n > 1 {
			id = fmt.Sprintf("%s-%d", user, n)
		}
		if !slices.ContainsFunc(taken, func(m certmap.Mapping) bool { return m.ID == id }) {
			return id
		}
	}
}

// anchorOf finds the file of the authority that issued a certificate, as it should
// stand in the file of users.
func (f *usersFile) findIssuer(leaf *x509.Certificate) (string, error) {
	missing := &configerror.Error{What: "the issuer is missing: without it, any authority could make this user", Hint: "--issuer FILE with the certificate of " + formatIssuer(leaf)}
	if f.config == nil {
		return "", missing
	}
	for _, p := range f.config.ports {
		for _, name := range p.anchors {
			entries, err := certfile.Read(name, certfile.Passwords{})
			if err != nil || len(entries[0].Chain) != 1 {
				continue // told where the configuration is loaded
			}
			if a := entries[0].Chain[0]; a.IsCA && leaf.CheckSignatureFrom(a) == nil {
				return relativeTo(f.name, name), nil
			}
		}
	}
	return "", missing
}
