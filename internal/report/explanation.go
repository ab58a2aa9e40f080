package report

import (
	"crypto/x509"
	"fmt"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Explanation is the part of the JSON of explain that the server's answer determines.
type Explanation struct {
	Allowed       bool                `json:"allowed"`
	Stage         string              `json:"stage"`            // the step that decided: handshake, http, request, gateway, certificate, mapping, policy or quota
	Status        int                 `json:"status,omitempty"` // of a refusal; absent in the handshake
	Reason        reason.Reason       `json:"reason,omitempty"`
	Detail        string              `json:"detail,omitempty"`
	Decided       string              `json:"decided_by,omitempty"` // file:line
	Line          string              `json:"line,omitempty"`       // the text of that line
	Port          string              `json:"port"`
	Method        string              `json:"method"`
	Path          string              `json:"path"` // as it is authorized
	Cert          *Certificate        `json:"certificate,omitempty"`
	VerifiedUntil string              `json:"verified_until,omitempty"`
	User          string              `json:"user,omitempty"`
	Groups        []string            `json:"groups,omitempty"`
	Via           identity.Via        `json:"via,omitempty"`
	Mapping       string              `json:"mapping,omitempty"`
	Mappings      []MappingStep       `json:"mappings,omitempty"`
	Policy        *policy.Explanation `json:"policy,omitempty"`
	Quotas        []string            `json:"quotas,omitempty"` // that count the request
}

// MappingStep is the result of one mapping.
type MappingStep struct {
	ID     string `json:"id,omitempty"`
	User   string `json:"user,omitempty"`
	Kind   string `json:"kind,omitempty"`
	At     string `json:"at,omitempty"` // file:line
	Result string `json:"result"`
	Wanted string `json:"wanted,omitempty"`
	Got    string `json:"got,omitempty"`
	Why    string `json:"why,omitempty"`
}

// NewExplanation returns the JSON of an explanation. leaf is the certificate of the connection,
// or nil.
func NewExplanation(o *mtlsguard.Explanation, leaf *x509.Certificate) Explanation {
	at, line := DecidingLine(o)
	out := Explanation{
		Allowed: o.Allowed, Stage: Stage(o), Status: o.Status, Reason: o.Reason, Detail: o.Detail, Decided: at, Line: line,
		Port: o.Port, Method: o.Method, Path: o.Path, Policy: o.Policy,
	}
	if leaf != nil {
		out.Cert = NewCertificate(leaf)
	}
	if !o.Verified.IsZero() {
		out.VerifiedUntil = Time(o.Verified.Until())
		out.Cert = NewCertificate(o.Verified.Leaf())
	}
	if id := o.Identity; id != nil {
		out.User, out.Groups, out.Via, out.Mapping = id.User, id.Groups, id.Via, id.MappingID
	}
	for _, s := range o.Mapping {
		out.Mappings = append(out.Mappings, MappingStep{
			ID: s.MappingID, User: s.User, Kind: s.Kind, At: Position(s), Result: s.Result, Wanted: s.Wanted, Got: s.Got, Why: s.Why,
		})
	}
	for _, q := range o.Quotas {
		out.Quotas = append(out.Quotas, q.String())
	}
	return out
}

// Position returns the place of a mapping, FILE:LINE, or "".
func Position(s certmap.Step) string {
	if s.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}
