package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/statussocket"
	"github.com/mtlsguard/mtlsguard/reason"
)

type statusCmd struct {
	Socket string `required:"" placeholder:"FILE" help:"The server's status socket: -status of examples/server, or Options.StatusSocket of a program."`
}

func (*statusCmd) Help() string {
	return `Shows the state of a running server: whether it is ready, what is degraded, the last reload and its errors, the ports with their connections and refusals, and when certificates and CRLs end.

Examples:
  mtlsguard status --socket status.sock

Exit status: 0 ready, 1 not ready or degraded, 2 the socket cannot be read.`
}

func (c *statusCmd) Run(a *app) error {
	r, err := statussocket.Read(c.Socket)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		printStatus(a, r)
	}
	if err == nil && (!r.Ready || len(r.Degraded) > 0) {
		return errNegative
	}
	return err
}

// printStatus writes the report as text.
func printStatus(a *app, r *statussocket.Report) {
	switch {
	case !r.Ready:
		a.printf("not ready\n")
	case len(r.Degraded) > 0:
		a.printf("ready, degraded\n")
	default:
		a.printf("ready\n")
	}
	for _, why := range slices.Concat(r.NotReady, r.Degraded) {
		a.printf("because %s\n", escape.Printable(why, 0))
	}
	a.printf("\n")
	a.printTable("", [][]string{
		{"config", escape.Printable(r.Config, 0)},
		{"generation", strconv.FormatUint(r.Generation, 10) + ", since " + formatTime(r.Since)},
		{"process", strconv.Itoa(r.PID) + ", at " + formatTime(r.At)},
	})
	if r.LogDropped > 0 {
		a.printf("warning: %s of the log dropped: the log was too slow, or failed\n", plural(int(r.LogDropped), "line", "lines"))
	}
	if s := r.Shadow; s != nil {
		a.printf("Casbin compared %d decisions, %d differ, %d left out\n", s.Checked, s.Different, s.LeftOut)
	}
	if len(r.Failed) > 0 {
		a.printf("\nthe last reload failed, and generation %d stays in effect:\n", r.Generation)
	}
	printErrors(a, r.Failed)
	printSource(a, r.Source)
	a.printf("\n")
	a.printTable("", statusPorts(r))
	if rows := append(countRows("gateway", r.Gateways), countRows("service", r.Services)...); len(rows) > 0 {
		a.printf("\n")
		a.printTable("", append([][]string{{"TUNNELS", "TO", ""}}, rows...))
	}
	if len(r.Ends) > 0 {
		a.printf("\n")
		a.printTable("", statusEnds(r))
	}
}

// printErrors writes configuration errors with their hints.
func printErrors(a *app, errs []statussocket.ConfigError) {
	for _, e := range errs {
		e := configerror.Error(e)
		hint := e.Hint
		e.Hint = ""
		a.printf("%s\n", escape.Printable(e.Error(), 0))
		if hint != "" {
			a.printf("    %s\n", escape.Printable(hint, 0))
		}
	}
}

// printSource writes the state of the source of a fleet; nil is none.
func printSource(a *app, s *statussocket.Source) {
	if s == nil {
		return
	}
	heard := "no answer since the start"
	if s.Heard != nil {
		heard = "last answer at " + formatTime(*s.Heard)
	}
	a.printf("\nfleet %s: generation %d by %s, written at %s; %s\n", escape.Printable(s.Fleet, 0), s.Number, escape.Printable(s.Author, 0), formatTime(s.At), heard)
	if s.Error != "" && s.Refused == 0 {
		a.printf("%s\n", escape.Printable(s.Error, 0))
	}
	if s.Refused > 0 {
		a.printf("generation %d is refused, and generation %d stays in effect:\n", s.Refused, s.Number)
		printErrors(a, s.RefusedErrors)
	}
}

// statusPorts returns a table of the ports.
func statusPorts(r *statussocket.Report) [][]string {
	rows := [][]string{{"PORT", "ADDRESS", "CONNECTIONS", "ALLOWED", "REFUSED", "HANDSHAKES REFUSED", "FAILED"}}
	for _, p := range r.Ports {
		rows = append(rows, []string{
			escape.Printable(p.Name, 0), escape.Printable(p.Addr, 0), strconv.Itoa(p.Connections), strconv.FormatUint(p.Allowed, 10),
			formatCounts(p.Refused), formatCounts(p.Handshakes), strconv.FormatUint(p.Failed, 10),
		})
	}
	return rows
}

// formatCounts returns counters by reason, the largest first.
func formatCounts(counts map[reason.Reason]uint64) string {
	if len(counts) == 0 {
		return "0"
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b reason.Reason) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %d", escape.Printable(string(name), 0), counts[name]))
	}
	return strings.Join(parts, ", ")
}

// countRows returns the numbers of tunnels.
func countRows(kind string, counts map[string]int) [][]string {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		rows = append(rows, []string{strconv.Itoa(counts[name]), kind, escape.Printable(name, 0)})
	}
	return rows
}

// statusEnds returns a table of certificates and CRLs, by their end.
func statusEnds(r *statussocket.Report) [][]string {
	rows := [][]string{{"ENDS", "WHAT", "FILE"}}
	for _, e := range r.Ends {
		row := []string{formatTime(e.At), escape.Printable(e.What, 0), escape.Printable(e.File, 0)}
		if e.At.Before(r.At) {
			row[0] += " (ended)"
		}
		if e.NextFetch != nil {
			last := "not since the start"
			if e.LastFetched != nil {
				last = "at " + formatTime(*e.LastFetched)
			}
			row[2] += ", fetched " + last + ", next fetch at " + formatTime(*e.NextFetch)
		}
		rows = append(rows, row)
	}
	return rows
}
