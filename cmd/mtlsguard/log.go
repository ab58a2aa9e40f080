package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/duration"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

type logCmd struct {
	File string `arg:"" help:"The server's log: JSON lines. - is standard input."`
	logFilter
	Since  string `placeholder:"TIME" help:"Lines from this time on: RFC 3339, or how long ago, such as 2h or 1d."`
	Until  string `placeholder:"TIME" help:"Lines up to this time."`
	Follow bool   `help:"Wait for more lines, also after the file is rotated or truncated. Ctrl-C ends it."`
}

func (*logCmd) Help() string {
	return `Selects lines of a server's log, and counts them by their reason. Lines are printed in their order, shortened; with --json as they are.

Examples:
  mtlsguard log server.log --refused --since 3650d
  mtlsguard log server.log --reference 6f1c2a9b7d3e4f50
  mtlsguard log server.log --refused --follow

Exit status: 0 lines were found, or --follow was ended; 1 there are none, 2 the log cannot be read.`
}

func (c *logCmd) Run(a *app) error {
	since, err := c.time(a, "--since", c.Since)
	if err != nil {
		return err
	}
	until, err := c.time(a, "--until", c.Until)
	if err != nil {
		return err
	}
	if c.Follow && c.File == "-" {
		return usageError("--follow needs a file", "leave --follow out: standard input is read until it ends")
	}
	return c.search(a, since, until)
}

// time reads a time of the command line. The zero time is none.
func (c *logCmd) time(a *app, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if ago, err := duration.Parse(text); err == nil && ago >= 0 {
		return a.now().Add(-ago), nil
	}
	return time.Time{}, usageError(flag+": "+strconv.Quote(text)+" is not a time", "RFC 3339, such as 2026-01-31T08:00:00Z, or how long ago: 2h, 1d")
}

// maxKinds bounds the kinds of lines that are counted. A server writes fewer.
const maxKinds = 200

// search prints the lines that match, and their number by outcome and reason.
func (c *logCmd) search(a *app, since, until time.Time) error {
	in, err := openLog(a, c.File, c.Follow)
	if err != nil {
		return err
	}
	defer in.Close()
	var order []string
	counts := map[string]int{}
	found := 0
	skipped, err := readLog(a.ctx, c.File, in, c.needle(), func(raw []byte, l *logLine) {
		if !c.matches(l) || !since.IsZero() && l.Time.Before(since) || !until.IsZero() && l.Time.After(until) {
			return
		}
		found++
		key := escape.Printable(strings.Join(strings.Fields(l.Event+" "+l.Outcome+" "+l.Reason), " "), escape.Short)
		if counts[key] == 0 && len(order) >= maxKinds {
			key = "other" // not a log of a server: it must not fill the memory
		}
		if counts[key]++; counts[key] == 1 {
			order = append(order, key)
		}
		c.print(a, raw, l)
	})
	if err != nil && a.ctx.Err() == nil { // an interrupt ends the search
		return err
	}
	if !a.json {
		if found > 0 {
			a.printf("\n")
		}
		a.printf("%s\n", plural(found, "line", "lines"))
		for _, key := range order {
			a.printf("  %d  %s\n", counts[key], escape.Printable(key, 0))
		}
		if skipped > 0 {
			a.printf("%s skipped: not JSON\n", plural(skipped, "line", "lines"))
		}
	}
	if found == 0 && !c.Follow {
		return errNegative
	}
	return nil
}

// print prints a line: when, what, who, and which line of the configuration decided.
func (c *logCmd) print(a *app, raw []byte, l *logLine) {
	if a.json {
		a.printf("%s\n", raw)
		return
	}
	parts := []string{formatTime(l.Time), strings.Join(strings.Fields(l.Event+" "+l.Outcome+" "+l.Reason), " ")}
	for _, f := range []struct{ name, value string }{
		{"port", l.Port}, {"request", strings.TrimSpace(l.Method + " " + l.Path)}, {"user", l.User}, {"via", l.Via}, {"mapping", l.Mapping}, {"what", l.What}, {"note", l.Note}, {"rule", l.Rule},
		{"subject", l.Subject}, {"san", l.SAN}, {"fingerprint", l.Fingerprint}, {"spki", l.SPKI}, {"certificates", countText(l.Certificates)},
		{"sni", l.SNI}, {"host", l.Host}, {"upstream", l.upstream()}, {"count", countText(l.Count)}, {"remote", l.Remote}, {"via_proxy", l.ViaProxy}, {"client_ip", l.ClientIP}, {"file", l.File}, {"error", l.Error}, {"nearest", l.Nearest},
		{"stale", flagText(l.Stale)}, {"reference", l.Reference},
	} {
		if f.value != "" {
			parts = append(parts, fmt.Sprintf("%s=%s", f.name, shellQuote(escape.Printable(f.value, 0))))
		}
	}
	a.printf("%s\n", strings.Join(parts, "  "))
}

// countText returns a number, or "" for 0.
func countText(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// flagText returns "true", or "" for false.
func flagText(set bool) string {
	if !set {
		return ""
	}
	return "true"
}
