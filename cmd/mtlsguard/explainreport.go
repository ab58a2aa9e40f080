package main

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// explainReport is the JSON of explain.
type explainReport struct {
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
	Cert          *certificateReport  `json:"certificate,omitempty"`
	VerifiedUntil string              `json:"verified_until,omitempty"`
	User          string              `json:"user,omitempty"`
	Groups        []string            `json:"groups,omitempty"`
	Via           identity.Via        `json:"via,omitempty"`
	Mapping       string              `json:"mapping,omitempty"`
	Mappings      []mappingStep       `json:"mappings,omitempty"`
	Policy        *policy.Explanation `json:"policy,omitempty"`
	Quotas        []string            `json:"quotas,omitempty"` // that count the request
	Hints         []hint              `json:"hints"`
	Live          *liveReport         `json:"live,omitempty"`
	Log           *logReport          `json:"log,omitempty"`       // with --log
	Undecided     []string            `json:"undecided,omitempty"` // what only the certificate can show, with --log and without --cert
}

type mappingStep struct {
	ID     string `json:"id,omitempty"`
	User   string `json:"user,omitempty"`
	Kind   string `json:"kind,omitempty"`
	At     string `json:"at,omitempty"` // file:line
	Result string `json:"result"`
	Wanted string `json:"wanted,omitempty"`
	Got    string `json:"got,omitempty"`
	Why    string `json:"why,omitempty"`
}

type certificateReport struct {
	Subject     string `json:"subject"`
	Issuer      string `json:"issuer"`
	Serial      string `json:"serial"`
	Fingerprint string `json:"fingerprint"`
	NotBefore   string `json:"not_before,omitempty"` // absent where only a log line is known
	NotAfter    string `json:"not_after,omitempty"`
}

type liveReport struct {
	Addr   string        `json:"addr"`
	Result string        `json:"result"`
	Status int           `json:"status,omitempty"`
	Reason reason.Reason `json:"reason,omitempty"`
	Sent   bool          `json:"request_sent"`
	Same   bool          `json:"same"`
}

func (x *explainResult) report() explainReport {
	o := &x.explanation
	at, line := decidingLine(o)
	out := explainReport{
		Allowed: o.Allowed, Stage: decidingStage(o), Status: o.Status, Reason: o.Reason, Detail: o.Detail, Decided: at, Line: line,
		Port: o.Port, Method: o.Method, Path: o.Path, Policy: o.Policy, Hints: x.hints(),
	}
	if x.leaf != nil {
		out.Cert = newCertificateReport(x.leaf)
	}
	if !o.Verified.IsZero() {
		out.VerifiedUntil = formatTime(o.Verified.Until())
		out.Cert = newCertificateReport(o.Verified.Leaf())
	}
	if id := o.Identity; id != nil {
		out.User, out.Groups, out.Via, out.Mapping = id.User, id.Groups, id.Via, id.MappingID
	}
	for _, s := range o.Mapping {
		out.Mappings = append(out.Mappings, mappingStep{
			ID: s.MappingID, User: s.User, Kind: s.Kind, At: stepPosition(s), Result: s.Result, Wanted: s.Wanted, Got: s.Got, Why: s.Why,
		})
	}
	for _, q := range o.Quotas {
		out.Quotas = append(out.Quotas, q.String())
	}
	if x.log != nil {
		out.Log, out.Undecided = x.logReport(), x.log.undecided
		if l := x.log; out.Cert == nil && l.Fingerprint != "" {
			out.Cert = &certificateReport{Subject: l.Subject, Issuer: l.Issuer, Serial: l.Serial, Fingerprint: l.Fingerprint}
		}
	}
	if x.live != nil {
		out.Live = &liveReport{Addr: x.live.Addr, Result: x.live.describe(), Reason: x.live.Report.Reason, Sent: x.live.Sent, Same: x.live.Same}
		if a := x.live.Report.Answer; a != nil {
			out.Live.Status = a.Status
		}
	}
	return out
}

func newCertificateReport(c *x509.Certificate) *certificateReport {
	return &certificateReport{
		Subject: formatSubject(c), Issuer: formatIssuer(c), Serial: useredit.Serial(c), Fingerprint: trust.FingerprintOf(c).String(),
		NotBefore: formatTime(c.NotBefore), NotAfter: formatTime(c.NotAfter),
	}
}

// formatSubject returns a subject as users.yaml writes it. A subject that no mapping can
// name is escaped.
func formatSubject(c *x509.Certificate) string {
	if n, err := dn.FromDER(c.RawSubject); err == nil {
		return n.String()
	}
	return escape.Printable(dn.Print(&c.Subject), 0)
}

func formatIssuer(c *x509.Certificate) string { return escape.Printable(dn.Print(&c.Issuer), 0) }

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func stepPosition(s certmap.Step) string {
	if s.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}
