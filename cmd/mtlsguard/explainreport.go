package main

import (
	"crypto/x509"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/report"
	"github.com/mtlsguard/mtlsguard/reason"
)

// explainReport is the JSON of explain.
type explainReport struct {
	report.Explanation
	Hints     []hint      `json:"hints"`
	Live      *liveReport `json:"live,omitempty"`
	Log       *logReport  `json:"log,omitempty"`       // with --log
	Undecided []string    `json:"undecided,omitempty"` // what only the certificate can show, with --log and without --cert
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
	out := explainReport{Explanation: report.NewExplanation(&x.explanation, x.leaf), Hints: x.hints()}
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

// The admin page prints certificates, times and places alike.
type certificateReport = report.Certificate

func newCertificateReport(c *x509.Certificate) *certificateReport { return report.NewCertificate(c) }
func formatSubject(c *x509.Certificate) string                    { return report.Subject(c) }
func formatIssuer(c *x509.Certificate) string                     { return report.Issuer(c) }
func formatTime(t time.Time) string                               { return report.Time(t) }
func stepPosition(s certmap.Step) string                          { return report.Position(s) }

// quoted returns an id as text for a message.
func quoted(id string) string { return escape.Quote(id, escape.Short) }
