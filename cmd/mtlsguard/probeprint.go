package main

import (
	"crypto/tls"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/probe"
)

// printProbe writes the report as text.
func printProbe(a *app, r *probe.Report, pair *tls.Certificate) {
	result, detail := describeProbe(r)
	a.printf("%s\n", result)
	if detail != "" {
		a.printf("because %s\n", detail)
	}
	a.printf("\n")
	a.printTable("", probeRows(r, pair))
	warnings, hints := otherClients(r, pair)
	hints = append(probeHints(r, pair), hints...)
	if len(warnings)+len(hints) > 0 {
		a.printf("\n")
	}
	for _, w := range warnings {
		a.printf("warning: %s\n", w)
	}
	for _, h := range hints {
		a.printf("hint: %s\n", h)
	}
}

func probeRows(r *probe.Report, pair *tls.Certificate) [][]string {
	rows := [][]string{{"server", r.Addr}}
	if r.Remote != "" && r.Remote != r.Addr {
		rows = append(rows, []string{"", r.Remote})
	}
	if len(r.Chain) > 0 {
		rows = append(rows, []string{"", formatSubject(r.Chain[0]) + ", issued by " + formatIssuer(r.Chain[0])}, []string{"", "until " + formatTime(r.Chain[0].NotAfter)})
		if r.UntrustedErr != nil {
			rows = append(rows, []string{"", "not trusted: " + escape.Printable(r.UntrustedErr.Error(), 0)})
		}
	}
	if r.Version != 0 {
		rows = append(rows, []string{"TLS", tls.VersionName(r.Version) + ", " + tls.CipherSuiteName(r.Cipher)})
	}
	if len(r.Chain) > 0 && r.RefusedBy != probe.Client { // a client that refuses the server reads no request
		rows = append(rows, []string{"requests", describeRequest(r)})
		for _, n := range authorityNames(r) {
			rows = append(rows, []string{"", n})
		}
	}
	switch {
	case r.Sent:
		rows = append(rows, []string{"sent", formatSubject(pair.Leaf) + ", issued by " + formatIssuer(pair.Leaf)})
		if r.Unacceptable != nil {
			rows = append(rows, []string{"", "not acceptable to the server: " + escape.Printable(r.Unacceptable.Error(), 0)})
		}
	case r.Stage != probe.Connect:
		rows = append(rows, []string{"sent", "no certificate"})
	}
	if r.Alert != nil {
		rows = append(rows, []string{"alert", fmt.Sprintf("%s (%d)", r.Alert.Name, r.Alert.Number)})
	}
	if an := r.Answer; an != nil {
		text := fmt.Sprint(an.Status)
		if an.Reason != "" {
			text += " " + string(an.Reason)
		}
		if an.Reference != "" {
			text += ", reference " + escape.Printable(an.Reference, 0)
		}
		rows = append(rows, []string{"answer", text})
		for _, e := range an.Explanation {
			rows = append(rows, []string{"", escape.Printable(e, 0)})
		}
	}
	return rows
}

// describeRequest returns which certificates the server requests.
func describeRequest(r *probe.Report) string {
	switch {
	case !r.Requested:
		return "no certificate"
	case len(r.Authorities) == 0:
		return "a certificate of any authority"
	}
	return "a certificate of one of"
}
