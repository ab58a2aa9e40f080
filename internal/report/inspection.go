package report

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Inspection is what a mapping and the profiles need to know of a certificate.
type Inspection struct {
	Cert      *Certificate     `json:"certificate,omitempty"`
	Spki      string           `json:"spki,omitempty"`
	Key       string           `json:"key,omitempty"` // algorithm and size, for example "ECDSA P-256"
	Authority bool             `json:"authority,omitempty"`
	Expired   bool             `json:"expired,omitempty"`
	Days      int              `json:"days_left,omitempty"`
	Mappings  []Candidate      `json:"mappings,omitempty"`
	Profiles  []ProfileFinding `json:"profiles,omitempty"`
}

// Candidate is a value that a mapping can name.
type Candidate struct {
	Kind  string `json:"kind"`
	Value string `json:"value,omitempty"`
	Line  string `json:"line,omitempty"` // as users.yaml writes it
	Why   string `json:"why,omitempty"`  // why no mapping can name the value
}

// ProfileFinding is the result of a profile for a certificate, without regard to its issuer.
type ProfileFinding struct {
	Profile string        `json:"profile"`
	Reason  reason.Reason `json:"reason,omitempty"` // empty: accepted
	Detail  string        `json:"detail,omitempty"`
}

// Inspect returns the inspection of a certificate at a time.
func Inspect(c *x509.Certificate, now time.Time) *Inspection {
	in := &Inspection{
		Cert: NewCertificate(c), Spki: trust.SPKIOf(c).String(), Key: formatKey(c), Authority: c.IsCA,
		Expired: now.After(c.NotAfter), Days: int(c.NotAfter.Sub(now).Hours() / 24), Profiles: checkProfiles(c),
	}
	if !c.IsCA {
		in.Mappings = candidates(c)
	}
	return in
}

// FormatName returns a distinguished name in DER as text.
func FormatName(der []byte) string {
	if n, err := dn.FromDER(der); err == nil {
		return n.String()
	}
	var rdns pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &rdns); err != nil {
		return "a name that cannot be read"
	}
	var n pkix.Name
	n.FillFromRDNSequence(&rdns)
	return escape.Printable(dn.Print(&n), 0)
}
