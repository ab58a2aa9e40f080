package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/mappingkind"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
)

type usersAddCmd struct {
	usersFlags
	Cert      string   `required:"" xor:"what" placeholder:"FILE" help:"The user's certificate. Of a chain, the first certificate counts."`
	Print     string   `name:"fingerprint" required:"" xor:"what" placeholder:"SHA256" help:"The fingerprint of the user's certificate, as a log line has it."`
	Key       string   `name:"spki" required:"" xor:"what" placeholder:"SHA256" help:"The SHA-256 of the certificate's key, as the line of a refusal has it. The mapping survives renewals that keep the key."`
	User      string   `required:"" placeholder:"NAME" help:"The user."`
	By        string   `default:"fingerprint" enum:"fingerprint,spki,serial,uri,dns,email,subject" help:"The kind of the mapping: ${enum}. The default, ${default}, does not survive a renewal."`
	Value     string   `placeholder:"TEXT" help:"The value to map, if the certificate has several of the kind."`
	ID        string   `placeholder:"ID" help:"The mapping's id in logs. Default: the user, with a number if that is taken."`
	Issuer    string   `placeholder:"FILE" help:"The issuer, for every kind but fingerprint and spki. Default: the anchor in the configuration that issued the certificate."`
	Ports     []string `placeholder:"NAME" help:"The ports on which the mapping applies. Default: all."`
	NotBefore string   `placeholder:"DATE" help:"The beginning of the mapping."`
	NotAfter  string   `placeholder:"DATE" help:"The end of the mapping."`
	DryRun    bool     `help:"Print the line and change nothing."`
	passwordFlags
}

func (*usersAddCmd) Help() string {
	return `Adds one line to the file of users, if the result loads. Comments, order and all other lines stay as they are. A server that watches its files reloads the file within seconds.

Examples:
  mtlsguard users add --config mtlsguard.yaml --cert stranger.pem --user stranger
  mtlsguard users add --config mtlsguard.yaml --fingerprint 6b03cb3214118d1fd0d1649c341ced9579475d1faabcfa296914dd36e6e9c952 --user stranger
  mtlsguard users add --config mtlsguard.yaml --cert orders.pem --user orders-batch --by subject --ports internal
  mtlsguard users add --users users.yaml --cert stranger.pem --user stranger --by spki --not-after 2030-01-01 --dry-run

Exit status: 0 the file is written, 2 it is not.`
}

// usersChange is the JSON of the commands that change the file of users.
type usersChange struct {
	File     string          `json:"file"`
	Line     string          `json:"line,omitempty"` // the added line
	Added    []mappingReport `json:"added,omitempty"`
	Removed  []mappingReport `json:"removed,omitempty"`
	Written  bool            `json:"written"`
	Warnings []string        `json:"warnings,omitempty"`
	verb     string          // enabled, disabled, or ""
}

func (c *usersAddCmd) Run(a *app) error {
	f, unlock, err := c.openLocked()
	if err != nil {
		return err
	}
	defer unlock()
	before, err := f.read(nil)
	if err != nil {
		return err
	}
	fields, effect, err := c.readMapping(a, f, before)
	if err != nil {
		return err
	}
	next, file, err := f.add(fields, fields[0].Text)
	if err != nil {
		return err
	}
	out := usersChange{File: file, Line: usersfile.Format(file, fields), Written: !c.DryRun, Warnings: effect.warnings()}
	if err := f.checkAddition(next, before, effect); err != nil {
		return err
	}
	return f.writeChange(a, next, before, out, func(added, removed []mappingReport) bool { return len(added) == 1 && len(removed) == 0 })
}

// readMapping returns the new mapping, and the effect of its certificate until now.
func (c *usersAddCmd) readMapping(a *app, f *usersFile, before []certmap.Mapping) ([]usersfile.Field, certificateEffect, error) {
	if c.Print != "" || c.Key != "" {
		fields, err := c.digestFields(before)
		return fields, certificateEffect{unknown: true}, err
	}
	chain, err := c.readChain(a)
	if err != nil {
		return nil, certificateEffect{}, err
	}
	fields, err := c.fields(f, chain[0], before)
	if err != nil {
		return nil, certificateEffect{}, err
	}
	effect, err := f.effectOf(a.ctx, chain, a.now)
	return fields, effect, err
}

// digestFields returns the mapping of a digest that a log line has.
func (c *usersAddCmd) digestFields(before []certmap.Mapping) ([]usersfile.Field, error) {
	kind, digest := "fingerprint", c.Print
	if c.Key != "" {
		kind, digest = "spki", c.Key
	}
	if c.By != "fingerprint" || c.Value != "" || c.Issuer != "" {
		return nil, usageError("--"+kind+" excludes --by, --value and --issuer: the certificate's other values are not known", "--cert FILE in place of --"+kind)
	}
	if why := mappingkind.WhyNot(kind, digest); why != "" {
		return nil, usageError("--"+kind+": "+why, "the "+kind+" of a log line, 64 hex digits")
	}
	return c.withLimits(mappingkind.Fields(cmp.Or(c.ID, unusedID(c.User, before)), c.User, kind, digest, "")), nil
}

// withLimits adds the ports and dates of the command line.
func (c *usersAddCmd) withLimits(fields []usersfile.Field) []usersfile.Field {
	if c.Ports != nil {
		fields = append(fields, usersfile.Field{Key: "ports", List: c.Ports})
	}
	for _, d := range []struct{ key, text string }{{"not_before", c.NotBefore}, {"not_after", c.NotAfter}} {
		if d.text != "" {
			fields = append(fields, usersfile.Field{Key: d.key, Text: d.text})
		}
	}
	return fields
}

// readChain reads the user's certificate, and the issuers after it in the file.
func (c *usersAddCmd) readChain(a *app) ([]*x509.Certificate, error) {
	password, err := c.readPasswords(a)
	if err != nil {
		return nil, err
	}
	entry, err := readClientEntry(c.Cert, password)
	if err != nil {
		return nil, err
	}
	if entry.Chain[0].IsCA {
		return nil, &configerror.Error{File: c.Cert, What: "the first certificate is an authority's, and cannot identify a user", Hint: "put the user's own certificate first in the file"}
	}
	return entry.Chain, nil
}

// fields returns the new mapping.
func (c *usersAddCmd) fields(f *usersFile, leaf *x509.Certificate, before []certmap.Mapping) ([]usersfile.Field, error) {
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
		issuer = f.relativeName(c.Issuer)
	} else if mappingkind.NeedsIssuer(c.By) {
		if issuer, err = f.findIssuer(leaf); err != nil {
			return nil, err
		}
	}
	return c.withLimits(mappingkind.Fields(id, c.User, c.By, value, issuer)), nil
}

// value returns the value of the certificate that the mapping names.
func (c *usersAddCmd) value(leaf *x509.Certificate) (string, error) {
	all, why := mappingkind.Values(leaf, c.By)
	switch {
	case why != "":
		return "", &configerror.Error{File: c.Cert, What: "--by " + c.By + ": " + why, Hint: "mtlsguard inspect " + shellQuote(c.Cert) + " shows the mappings that match the certificate"}
	case c.Value != "" && slices.Contains(all, c.Value):
		return c.Value, nil
	case len(all) == 0:
		return "", &configerror.Error{File: c.Cert, What: "--by " + c.By + ": the certificate has no such value", Hint: "mtlsguard inspect " + shellQuote(c.Cert) + " shows the mappings that match the certificate"}
	case c.Value != "":
		return "", &configerror.Error{File: c.Cert, What: fmt.Sprintf("--value: %q is not a value of the certificate", c.Value), Hint: "--value one of: " + escape.Printable(strings.Join(all[:min(len(all), maxNames)], ", "), 0)}
	case len(all) > 1:
		return "", &configerror.Error{File: c.Cert, What: fmt.Sprintf("--by %s: the certificate has %d values", c.By, len(all)), Hint: "--value one of: " + escape.Printable(strings.Join(all[:min(len(all), maxNames)], ", "), 0)}
	}
	return all[0], nil
}

// unusedID returns the user, with a number if a mapping has that id.
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

// findIssuer returns the file of the anchor that issued a certificate, relative to the file
// of users.
func (f *usersFile) findIssuer(leaf *x509.Certificate) (string, error) {
	missing := &configerror.Error{What: "--issuer is missing: without an issuer, every trusted authority could issue a certificate for this user", Hint: "--issuer FILE with the certificate of " + formatIssuer(leaf)}
	if f.config == nil {
		return "", missing
	}
	for _, p := range f.config.ports {
		for _, name := range p.anchors {
			entries, err := certfile.Read(name, certfile.Passwords{})
			if err != nil || len(entries[0].Chain) != 1 {
				continue // mtlsguard.Open reports the error
			}
			if a := entries[0].Chain[0]; a.IsCA && leaf.CheckSignatureFrom(a) == nil {
				return f.relativeName(name), nil
			}
		}
	}
	return "", missing
}
