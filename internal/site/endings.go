package site

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/crlfetch"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// ending is a certificate or CRL of a port, and what follows when it ends.
type ending struct {
	about      string
	port       int // index in Generation.AllPorts
	file       string
	what       string
	start, end time.Time
	then       string // the consequence
	hint       string
	aging      string // is logged when half of the lifetime has passed; "" is not logged
	fetched    bool   // the file is renewed from a URL
}

// expired returns the sentence for an ending that has come. Log and Lint have the same.
func (e *ending) expired() string {
	return e.what + " expired at " + e.end.UTC().Format(time.RFC3339) + ": " + e.then
}

// Reminder is a warning that only the passing of time brings about.
type Reminder struct {
	configerror.Finding
	Every   time.Duration // the time after which it is logged again; 0: it is logged once
	Fetched bool          // Finding.File is renewed from a URL
}

// Reminders returns the warnings that hold at a time: certificates and CRLs that have ended,
// and CRLs that should have been replaced by now.
func (g *Generation) Reminders(now time.Time) []Reminder {
	var out []Reminder
	for _, e := range g.endings {
		f := configerror.Finding{About: e.about, File: e.file, Hint: e.hint}
		switch {
		case now.After(e.end):
			f.What = e.expired()
			out = append(out, Reminder{f, time.Hour, e.fetched})
		case e.aging != "" && now.Sub(e.start) > e.end.Sub(e.start)/2:
			f.What = e.aging
			out = append(out, Reminder{f, 0, e.fetched})
		}
	}
	return out
}

// End is when a certificate, an anchor or a CRL of a port ends.
type End struct {
	What, File string
	At         time.Time
	Fetched    bool // the file is renewed from a URL
}

// Ends returns all ends, the earliest first. It leaves out anchors and CRLs without an end.
func (g *Generation) Ends() []End {
	var out []End
	for _, e := range g.endings {
		if !e.end.IsZero() {
			out = append(out, End{e.what, e.file, e.end, e.fetched})
		}
	}
	slices.SortStableFunc(out, func(a, b End) int { return a.At.Compare(b.At) })
	return out
}

// findEndings returns the endings of all ports.
func (g *Generation) findEndings() []ending {
	var out []ending
	for i, p := range g.AllPorts() {
		if e := p.certificateEnding(); e != nil {
			if g.Tunnel != nil && i == len(g.Ports) {
				e.then = "gateways refuse the tunnels"
			}
			e.port = i
			out = append(out, *e)
		}
		if e := p.Upstream.ending(p.Config.Name); e != nil {
			e.port = i
			out = append(out, *e)
		}
		for _, t := range p.Trusts() {
			for _, e := range t.endings(p.Config.Name) {
				e.port = i
				out = append(out, e)
			}
		}
	}
	return out
}

// certificateEnding returns the earliest end of the chain that a port presents, or nil.
func (p *Port) certificateEnding() *ending {
	if p.Config.Certificate == nil {
		return nil
	}
	pair, err := p.Config.Certificate(nil) // package site made it: it does not use the hello
	if err != nil {
		return nil
	}
	what, first := chainEnd(p.Config.Name, pair)
	return &ending{
		about: "ports", file: p.certificateFile, what: what, start: first.NotBefore, end: first.NotAfter,
		then: "clients refuse to connect", hint: "renew it in " + p.certificateFile + ": a reload reads the new file",
	}
}

// endings returns the endings of the anchors and CRLs.
func (t *Trust) endings(port string) []ending {
	var out []ending
	for _, a := range t.Verifier.Anchors() {
		out = append(out, ending{
			about: "trust", file: t.files[string(a.Raw)], what: fmt.Sprintf("port %s: anchor %q", port, a.Subject.String()), start: a.NotBefore, end: a.NotAfter,
			then: "every certificate under it is refused", hint: "add its successor to anchors, before clients use it",
		})
	}
	for _, state := range trustaccess.CurrentCRLs(t.Verifier) {
		issuer := strconv.QuoteToASCII(state.List.Issuer.String())
		e := ending{
			about: "trust", file: t.files[string(state.List.Signature)], what: fmt.Sprintf("port %s: the CRL of %s", port, issuer), start: state.List.ThisUpdate, end: state.Until,
			aging: fmt.Sprintf("the CRL of %s must be replaced by %s", issuer, state.Until.UTC().Format(time.RFC3339)),
		}
		switch {
		case t.asks.client != nil:
			e.then = "only the OCSP responder shows which certificates are revoked"
		case trustaccess.Revocation(t.Verifier) == trust.RevocationHard:
			e.then = "every certificate of this issuer is refused (revocation-unknown)"
		default:
			e.then = "certificates that the issuer has revoked since are accepted"
		}
		e.hint = "put the newest CRL of the issuer into the file"
		if i := slices.IndexFunc(t.fetch, func(s crlfetch.Source) bool { return s.File == e.file }); i >= 0 {
			e.fetched = true
			e.hint = "it is fetched from " + t.fetch[i].URL
		}
		out = append(out, e)
	}
	return out
}
