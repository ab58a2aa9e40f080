package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/usersfile"
	"github.com/mtlsguard/mtlsguard/trust"
)

type usersCmd struct {
	List   usersListCmd   `cmd:"" help:"List the mappings."`
	Add    usersAddCmd    `cmd:"" help:"Map a certificate to a user."`
	Remove usersRemoveCmd `cmd:"" help:"Remove mappings, by their ids or of a user."`
}

// usersOf is the file that is listed or changed.
type usersOf struct {
	Config string `required:"" xor:"of" placeholder:"FILE" help:"The server's mtlsguard.yaml, which names the file of users."`
	Users  string `required:"" xor:"of" placeholder:"FILE" help:"users.yaml or users.jsonl itself; ports are not checked then."`
}

// usersFile is the file with what is needed to read it.
type usersFile struct {
	site *site // nil where the file was named itself
	name string
	data []byte
}

// openLocked is open for a change: no other command reads or writes the file before
// unlock.
func (u *usersOf) openLocked() (f *usersFile, unlock func(), err error) {
	if f, err = u.open(); err != nil { // finds the file
		return nil, nil, err
	}
	if unlock, err = usersfile.Lock(f.name); err != nil {
		return nil, nil, err
	}
	if f, err = u.open(); err != nil { // as it is now
		unlock()
		return nil, nil, err
	}
	return f, unlock, nil
}

func (u *usersOf) open() (*usersFile, error) {
	f := &usersFile{name: u.Users}
	if u.Config != "" {
		s, err := readSite(u.Config)
		if err != nil {
			return nil, err
		}
		if s.users == "" {
			return nil, &configerror.Error{File: u.Config, What: "users is missing", Hint: "users: users.yaml"}
		}
		f.site, f.name = s, s.users
	}
	var err error
	f.data, err = certfile.Slurp(f.name)
	return f, err
}

// read is what a server would make of the file's content.
func (f *usersFile) read(data []byte) ([]certmap.Mapping, error) {
	options := []certmap.Option{certmap.WithIssuers(f.issuer)}
	if f.site != nil {
		options = append(options, certmap.WithPorts(f.site.portNames()...))
	}
	table, err := certmap.Load(f.name, bytes.NewReader(data), options...)
	if err != nil {
		return nil, err
	}
	return table.Mappings(), nil
}

func (f *usersFile) issuer(name string) (trust.Digest, error) {
	file := resolve(f.name, name)
	data, err := certfile.Slurp(file)
	if err != nil {
		return trust.Digest{}, err
	}
	certs, err := trust.ReadCertificates(file, data)
	switch {
	case err != nil:
		return trust.Digest{}, err
	case len(certs) != 1 || !certs[0].IsCA:
		return trust.Digest{}, fmt.Errorf("%s is not the certificate of one CA", file)
	}
	return trust.SPKIOf(certs[0]), nil
}

// mapping is one of what users list --json prints, a list.
type mapping struct {
	ID        string   `json:"id"`
	User      string   `json:"user"`
	Kind      string   `json:"kind"`
	Value     string   `json:"value"`
	Issuer    string   `json:"issuer,omitempty"` // SHA-256 of its public key
	Ports     []string `json:"ports,omitempty"`
	NotBefore string   `json:"not_before,omitempty"`
	NotAfter  string   `json:"not_after,omitempty"`
	Disabled  bool     `json:"disabled,omitempty"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
}

func describe(m certmap.Mapping) mapping {
	out := mapping{ID: m.ID, User: m.User, Ports: m.Ports, Disabled: m.Disabled, File: m.File, Line: m.Line}
	switch {
	case !m.Fingerprint.IsZero():
		out.Kind, out.Value = "fingerprint", m.Fingerprint.String()
	case !m.SPKI.IsZero():
		out.Kind, out.Value = "spki", m.SPKI.String()
	case m.Serial != nil:
		out.Kind, out.Value = "serial", strings.ToUpper(m.Serial.Text(16))
	case m.URI != "":
		out.Kind, out.Value = "uri", m.URI
	case m.DNS != "":
		out.Kind, out.Value = "dns", m.DNS
	case m.Email != "":
		out.Kind, out.Value = "email", m.Email
	default:
		out.Kind, out.Value = "subject", m.Subject
	}
	if !m.Issuer.IsZero() {
		out.Issuer = m.Issuer.String()
	}
	if !m.NotBefore.IsZero() {
		out.NotBefore = instant(m.NotBefore)
	}
	if !m.NotAfter.IsZero() {
		out.NotAfter = instant(m.NotAfter)
	}
	return out
}

func (m mapping) state(now time.Time) string {
	var notes []string
	if m.Disabled {
		notes = append(notes, "disabled")
	}
	if m.NotBefore != "" {
		notes = append(notes, "from "+m.NotBefore)
	}
	if m.NotAfter != "" {
		notes = append(notes, "until "+m.NotAfter)
		if end, err := time.Parse(time.RFC3339, m.NotAfter); err == nil && now.After(end) {
			notes = append(notes, "OVER")
		}
	}
	if m.Ports != nil {
		notes = append(notes, "on "+strings.Join(m.Ports, ", "))
	}
	return strings.Join(notes, ", ")
}

type usersListCmd struct {
	usersOf
	User string `placeholder:"NAME" help:"Those of this user alone."`
}

func (*usersListCmd) Help() string {
	return `Examples:
  mtlsguard users list --config mtlsguard.yaml
  mtlsguard users list --users users.yaml --user orders-api

Exit status: 0 there are some, 1 there is none, 2 the file does not load.`
}

func (c *usersListCmd) Run(a *app) error {
	f, err := c.open()
	if err != nil {
		return err
	}
	all, err := f.read(f.data)
	if err != nil {
		return err
	}
	out := []mapping{}
	rows := [][]string{{"USER", "ID", "KIND", "VALUE", ""}}
	for _, m := range all {
		if c.User != "" && m.User != c.User {
			continue
		}
		d := describe(m)
		out = append(out, d)
		rows = append(rows, []string{d.User, escape.Printable(d.ID, 0), d.Kind, escape.Printable(d.Value, 0), d.state(a.now())})
	}
	switch {
	case a.json:
		err = a.emit(out)
	case len(out) > 0:
		a.table("", rows)
	}
	if err == nil && len(out) == 0 {
		return errNo
	}
	return err
}
