package main

import (
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/trust"
)

type usersCmd struct {
	List    usersListCmd    `cmd:"" help:"List the mappings."`
	Add     usersAddCmd     `cmd:"" help:"Map a certificate to a user."`
	Remove  usersRemoveCmd  `cmd:"" help:"Remove mappings by id or by user."`
	Disable usersDisableCmd `cmd:"" help:"Refuse the certificates of a user, and keep the mappings."`
	Enable  usersEnableCmd  `cmd:"" help:"Undo users disable."`
	Split   usersSplitCmd   `cmd:"" help:"Split a large file into a folder of small ones."`
}

// usersFlags names the file of users.
type usersFlags struct {
	Config string `required:"" xor:"of" placeholder:"FILE" help:"The server's mtlsguard.yaml, which names the file of users."`
	Users  string `required:"" xor:"of" placeholder:"FILE" help:"The users.yaml, users.jsonl or folder itself. Port names are then not checked."`
}

// mappingReport is an element of the JSON of users list.
type mappingReport struct {
	ID        string   `json:"id"`
	User      string   `json:"user"`
	Kind      string   `json:"kind"`
	Value     string   `json:"value"`
	Issuer    string   `json:"issuer,omitempty"` // SHA-256 of its public key, or spiffe:// and a trust domain
	Ports     []string `json:"ports,omitempty"`
	NotBefore string   `json:"not_before,omitempty"`
	NotAfter  string   `json:"not_after,omitempty"`
	Disabled  bool     `json:"disabled,omitempty"`
	File      string   `json:"file"`
	Line      int      `json:"line"`
}

func newMappingReport(m certmap.Mapping) mappingReport {
	out := mappingReport{ID: m.ID, User: m.User, Ports: m.Ports, Disabled: m.Disabled, File: m.File, Line: m.Line}
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
		if rest, ok := strings.CutPrefix(m.URI, san.SPIFFE); ok { // a trust domain is no key
			if domain, _, _ := strings.Cut(rest, "/"); m.Issuer == trust.TrustDomainIssuer(domain) {
				out.Issuer = san.SPIFFE + domain
			}
		}
	}
	if !m.NotBefore.IsZero() {
		out.NotBefore = formatTime(m.NotBefore)
	}
	if !m.NotAfter.IsZero() {
		out.NotAfter = formatTime(m.NotAfter)
	}
	return out
}

// notes returns the limits of the mapping as text.
func (m mappingReport) notes(now time.Time) string {
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
			notes = append(notes, "EXPIRED")
		}
	}
	if m.Ports != nil {
		notes = append(notes, "on "+strings.Join(m.Ports, ", "))
	}
	return strings.Join(notes, ", ")
}

type usersListCmd struct {
	usersFlags
	User string `placeholder:"NAME" help:"List the mappings of this user only."`
}

func (*usersListCmd) Help() string {
	return `Examples:
  mtlsguard users list --config mtlsguard.yaml
  mtlsguard users list --users users.yaml --user orders-api

Exit status: 0 mappings are listed, 1 there are none, 2 the file does not load.`
}

func (c *usersListCmd) Run(a *app) error {
	f, err := c.open()
	if err != nil {
		return err
	}
	all, err := f.read(nil)
	if err != nil {
		return err
	}
	out := []mappingReport{}
	rows := [][]string{{"USER", "ID", "KIND", "VALUE", ""}}
	for _, m := range all {
		if c.User != "" && m.User != c.User {
			continue
		}
		d := newMappingReport(m)
		out = append(out, d)
		rows = append(rows, []string{d.User, escape.Printable(d.ID, 0), d.Kind, escape.Printable(d.Value, 0), d.notes(a.now())})
	}
	switch {
	case a.json:
		err = a.printJSON(out)
	case len(out) > 0:
		a.printTable("", rows)
	}
	if err == nil && len(out) == 0 {
		return errNegative
	}
	return err
}
