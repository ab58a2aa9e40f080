package useredit

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Add are the flags of users add, with the tags of kong.
type Add struct {
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
}

// Change returns the change that adds the mapping. readChain reads the certificate of Cert, and the
// issuers after it.
func (c *Add) Change(ctx context.Context, f *File, now func() time.Time, readChain func() ([]*x509.Certificate, error)) (*Change, error) {
	before, err := f.Mappings(nil)
	if err != nil {
		return nil, err
	}
	fields, effect, err := c.readMapping(ctx, f, now, before, readChain)
	if err != nil {
		return nil, err
	}
	next, file, err := f.add(fields, fields[0].Text)
	if err != nil {
		return nil, err
	}
	out := &Change{File: file, Line: usersfile.Format(file, fields), Warnings: effect.warnings()}
	if err := f.checkAddition(next, before, effect); err != nil {
		return nil, err
	}
	return out, f.check(next, before, out, func(added, removed []Mapping) bool { return len(added) == 1 && len(removed) == 0 })
}

// readMapping returns the new mapping, and the effect of its certificate until now.
func (c *Add) readMapping(ctx context.Context, f *File, now func() time.Time, before []certmap.Mapping, readChain func() ([]*x509.Certificate, error)) ([]usersfile.Field, Effect, error) {
	if c.Print != "" || c.Key != "" {
		fields, err := c.digestFields(before)
		return fields, Effect{unknown: true}, err
	}
	chain, err := readChain()
	if err != nil {
		return nil, Effect{}, err
	}
	if chain[0].IsCA {
		return nil, Effect{}, &configerror.Error{File: c.Cert, What: "the first certificate is an authority's, and cannot identify a user", Hint: "put the user's own certificate first in the file"}
	}
	fields, err := c.fields(f, chain[0], before)
	if err != nil {
		return nil, Effect{}, err
	}
	effect, err := f.effectOf(ctx, chain, now)
	return fields, effect, err
}

// digestFields returns the mapping of a digest that a log line has.
func (c *Add) digestFields(before []certmap.Mapping) ([]usersfile.Field, error) {
	kind, digest := "fingerprint", c.Print
	if c.Key != "" {
		kind, digest = "spki", c.Key
	}
	if c.By != "fingerprint" || c.Value != "" || c.Issuer != "" {
		return nil, usageError("--"+kind+" excludes --by, --value and --issuer: the certificate's other values are not known", "--cert FILE in place of --"+kind)
	}
	if why := CheckMappable(kind, digest); why != "" {
		return nil, usageError("--"+kind+": "+why, "the "+kind+" of a log line, 64 hex digits")
	}
	return c.withLimits(Fields(cmp.Or(c.ID, UnusedID(c.User, before)), c.User, kind, digest, "")), nil
}

// withLimits adds the ports and dates of the command line.
func (c *Add) withLimits(fields []usersfile.Field) []usersfile.Field {
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

// fields returns the new mapping.
func (c *Add) fields(f *File, leaf *x509.Certificate, before []certmap.Mapping) ([]usersfile.Field, error) {
	value, err := c.value(leaf)
	if err != nil {
		return nil, err
	}
	id := c.ID
	if id == "" {
		id = UnusedID(c.User, before)
	}
	issuer := ""
	if c.Issuer != "" {
		issuer = f.relativeName(c.Issuer)
	} else if NeedsIssuer(c.By) {
		if issuer, err = f.findIssuer(leaf); err != nil {
			return nil, err
		}
	}
	return c.withLimits(Fields(id, c.User, c.By, value, issuer)), nil
}

// value returns the value of the certificate that the mapping names.
func (c *Add) value(leaf *x509.Certificate) (string, error) {
	all, why := KindValues(leaf, c.By)
	switch {
	case why != "":
		return "", &configerror.Error{File: c.Cert, What: "--by " + c.By + ": " + why, Hint: "mtlsguard inspect " + escape.Shell(c.Cert) + " shows the mappings that match the certificate"}
	case c.Value != "" && slices.Contains(all, c.Value):
		return c.Value, nil
	case len(all) == 0:
		return "", &configerror.Error{File: c.Cert, What: "--by " + c.By + ": the certificate has no such value", Hint: "mtlsguard inspect " + escape.Shell(c.Cert) + " shows the mappings that match the certificate"}
	case c.Value != "":
		return "", &configerror.Error{File: c.Cert, What: fmt.Sprintf("--value: %q is not a value of the certificate", c.Value), Hint: "--value one of: " + escape.Printable(strings.Join(all[:min(len(all), MaxValues)], ", "), 0)}
	case len(all) > 1:
		return "", &configerror.Error{File: c.Cert, What: fmt.Sprintf("--by %s: the certificate has %d values", c.By, len(all)), Hint: "--value one of: " + escape.Printable(strings.Join(all[:min(len(all), MaxValues)], ", "), 0)}
	}
	return all[0], nil
}

// findIssuer returns the file of the anchor that issued a certificate, relative to the file
// of users.
func (f *File) findIssuer(leaf *x509.Certificate) (string, error) {
	missing := &configerror.Error{What: "--issuer is missing: without an issuer, every trusted authority could issue a certificate for this user", Hint: "--issuer FILE with the certificate of " + escape.Printable(dn.Print(&leaf.Issuer), 0)}
	if f.Config == nil {
		return "", missing
	}
	for _, name := range f.Config.Anchors {
		data, err := f.Read(name)
		if err != nil {
			continue // mtlsguard.Open reports the error
		}
		certs, err := trust.ReadCertificates(name, data)
		if err != nil || len(certs) != 1 {
			continue
		}
		if a := certs[0]; a.IsCA && leaf.CheckSignatureFrom(a) == nil {
			return f.relativeName(name), nil
		}
	}
	return "", missing
}
