package main

import (
	"cmp"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/reason"
)

// logReport is the line of the log in the JSON of explain.
type logReport struct {
	At        string        `json:"at"` // file:line
	Time      string        `json:"time"`
	Event     string        `json:"event"`
	Outcome   string        `json:"outcome"`
	Reason    reason.Reason `json:"reason,omitempty"`
	Reference string        `json:"reference,omitempty"`
	Matched   int           `json:"matched"`
	Refused   int           `json:"refused"`
	Changed   bool          `json:"changed"` // whether the files decide otherwise than the line
}

func (x *explainResult) logReport() *logReport {
	l := x.log
	return &logReport{
		At: l.position(), Time: formatTime(l.Time), Event: l.Event, Outcome: l.Outcome, Reason: reason.Reason(l.Reason), Reference: l.Reference,
		Matched: l.matched, Refused: l.refused, Changed: x.changedSince(),
	}
}

// changedSince reports whether the files decide otherwise than the line.
func (x *explainResult) changedSince() bool {
	o := &x.explanation
	if o.Allowed && x.wasQuota() {
		return false // explain counts no request, so no quota refuses it
	}
	if x.log.Event == "handshake" && !o.Refused {
		return true
	}
	return o.Allowed != (x.log.Outcome == "allow") || string(o.Reason) != x.log.Reason
}

// wasQuota reports whether the line is the refusal of a quota.
func (x *explainResult) wasQuota() bool { return x.log.Reason == string(reason.Quota) }

// printLine prints the line of the log, and what it leaves open.
func (x *explainResult) printLine(a *app) {
	l := x.log
	text := formatTime(l.Time) + "  " + l.Event + " " + l.then()
	if l.Reference != "" {
		text += "  reference " + l.Reference
	}
	a.printf("log %s\n  %s\n", l.position(), printable(text))
	switch {
	case l.matched < 2:
	case l.matched == l.refused:
		a.printf("  the newest of %d refusals\n", l.matched)
	default:
		a.printf("  the newest of %d lines, of which %s\n", l.matched, plural(l.refused, "is a refusal", "are refusals"))
	}
	if x.explanation.Allowed && x.wasQuota() {
		a.printf("  a quota was used up then, and explain counts no request: %s\n", printable(x.log.Error))
	}
	if x.changedSince() {
		a.printf("  the files decide otherwise now\n")
	}
	if len(l.undecided) > 0 {
		a.printf("not decided without the certificate\n")
		for _, what := range l.undecided {
			a.printf("  %s\n", printable(what))
		}
	}
}

// lineRows returns the fields of the line about the handshake.
func (x *explainResult) lineRows() [][]string {
	l, o := x.log, &x.explanation
	var rows [][]string
	switch {
	case l.Fingerprint == "":
		rows = append(rows, []string{"presented", "no certificate"})
	default:
		rows = append(rows, []string{"presented", printable(l.Subject)}, []string{"", "issued by " + printable(l.Issuer)},
			[]string{"", "fingerprint " + printable(l.Fingerprint)}, []string{"", "serial " + printable(l.Serial)})
		if l.SAN != "" {
			rows = append(rows, []string{"", "names " + printable(l.SAN)})
		}
	}
	if l.Gateway != "" {
		rows = append(rows, []string{"gateway", printable(l.Gateway)})
	}
	if o.Reason == reason.Misdirected {
		rows = append(rows, []string{"names", "Host " + printable(l.Host) + ", SNI " + cmp.Or(printable(l.SNI), "none")})
	}
	if o.Refused {
		rows = append(rows, []string{"refused", printable(string(o.Reason) + ": " + o.Detail)})
	}
	return rows
}

// printable returns a text of the log as a terminal may show it.
func printable(text string) string { return escape.Printable(text, 0) }
