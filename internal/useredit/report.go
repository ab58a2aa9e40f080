package useredit

import (
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/san"
)

// Mapping is a mapping as the command prints it, and as its JSON.
type Mapping struct {
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

// NewMapping describes a mapping.
func NewMapping(m certmap.Mapping) Mapping {
	out := Mapping{ID: m.ID, User: m.User, Ports: m.Ports, Disabled: m.Disabled, File: m.File, Line: m.Line}
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
		if domain := m.TrustDomain(); domain != "" {
			out.Issuer = san.SPIFFE + domain
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

// List returns the mappings of a file, and the rows of a table of them. With a user it returns those of the
// user only.
func (f *File) List(user string, now time.Time) (all []Mapping, rows [][]string, err error) {
	found, err := f.Mappings(nil)
	if err != nil {
		return nil, nil, err
	}
	all, rows = []Mapping{}, [][]string{{"USER", "ID", "KIND", "VALUE", ""}}
	for _, m := range found {
		if user == "" || m.User == user {
			d := NewMapping(m)
			all = append(all, d)
			rows = append(rows, []string{d.User, escape.Printable(d.ID, 0), d.Kind, escape.Printable(d.Value, 0), d.Notes(now)})
		}
	}
	return all, rows, nil
}

// Notes returns the limits of the mapping as text.
func (m Mapping) Notes(now time.Time) string {
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

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
