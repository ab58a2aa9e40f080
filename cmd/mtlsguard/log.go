package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/duration"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

type logCmd struct {
	File        string `arg:"" help:"The server's log: JSON lines. - is standard input."`
	Reference   string `placeholder:"ID" help:"The line of this reference, as a refusal has it."`
	Fingerprint string `placeholder:"SHA256" help:"Lines about this certificate."`
	User        string `placeholder:"NAME" help:"Lines about this user."`
	Since       string `placeholder:"TIME" help:"Lines from this time on: RFC 3339, or how long ago, such as 2h or 1d."`
	Until       string `placeholder:"TIME" help:"Lines up to this time."`
	Refused     bool   `help:"Lines about refusals."`
}

func (*logCmd) Help() string {
	return `Selects lines of a server's log, and counts them by their reason. Lines are printed in their order, shortened; with --json as they are.

Examples:
  mtlsguard log server.log --refused --since 3650d
  mtlsguard log server.log --reference 6f1c2a9b7d3e4f50

Exit status: 0 lines were found, 1 there are none, 2 the log cannot be read.`
}

// logLine is what the command reads of a line.
type logLine struct {
	Time                                                            time.Time
	Event, Outcome, Reason, Port, User, Mapping, Method, Path, Rule string
	Fingerprint, Subject, Issuer, Reference, Remote, Error, File    string
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
	in := a.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return &configerror.Error{File: c.File, What: "the log cannot be read: " + err.Error(), Hint: "name the file to which the server's standard error goes"}
		}
		defer f.Close()
		in = f
	}
	return c.search(a, in, since, until)
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

// maxLogLine bounds the lines that are read. Longer ones are skipped.
const maxLogLine = 1 << 20

// search prints the lines that match, and their number by outcome and reason.
func (c *logCmd) search(a *app, in io.Reader, since, until time.Time) error {
	var order []string
	counts := map[string]int{}
	found, unread := 0, 0
	lines := bufio.NewReaderSize(in, maxLogLine)
	for {
		raw, err := lines.ReadSlice('\n')
		for err == bufio.ErrBufferFull { // skip the rest of a line that is too long
			raw = nil
			_, err = lines.ReadSlice('\n')
		}
		if text := bytes.TrimSpace(raw); len(text) > 0 {
			var l logLine
			switch {
			case text[0] != '{' || json.Unmarshal(text, &l) != nil:
				unread++
			case c.matches(&l, since, until):
				found++
				key := strings.TrimSpace(l.Event + " " + l.Outcome + " " + l.Reason)
				if counts[key]++; counts[key] == 1 {
					order = append(order, key)
				}
				c.print(a, text, &l)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &configerror.Error{File: c.File, What: "the log cannot be read: " + err.Error(), Hint: "name the file to which the server's standard error goes"}
		}
	}
	if !a.json {
		if found > 0 {
			a.printf("\n")
		}
		a.printf("%s\n", plural(found, "line", "lines"))
		for _, key := range order {
			a.printf("  %d  %s\n", counts[key], escape.Printable(key, 0))
		}
		if unread > 0 {
			a.printf("%s skipped: not JSON\n", plural(unread, "line", "lines"))
		}
	}
	if found == 0 {
		return errNegative
	}
	return nil
}

func (c *logCmd) matches(l *logLine, since, until time.Time) bool {
	digest := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(c.Fingerprint, "sha256:"), ":", ""))
	switch {
	case c.Reference != "" && l.Reference != c.Reference,
		digest != "" && l.Fingerprint != digest,
		c.User != "" && l.User != c.User,
		c.Refused && l.Outcome != "refuse",
		!since.IsZero() && l.Time.Before(since),
		!until.IsZero() && l.Time.After(until):
		return false
	}
	return true
}

// print prints a line: when, what, who, and which line of the configuration decided.
func (c *logCmd) print(a *app, raw []byte, l *logLine) {
	if a.json {
		a.printf("%s\n", raw)
		return
	}
	parts := []string{formatTime(l.Time), strings.TrimSpace(l.Event + " " + l.Outcome + " " + l.Reason)}
	for _, f := range []struct{ name, value string }{
		{"port", l.Port}, {"request", strings.TrimSpace(l.Method + " " + l.Path)}, {"user", l.User}, {"mapping", l.Mapping}, {"rule", l.Rule},
		{"subject", l.Subject}, {"fingerprint", l.Fingerprint}, {"remote", l.Remote}, {"file", l.File}, {"error", l.Error}, {"reference", l.Reference},
	} {
		if f.value != "" {
			parts = append(parts, fmt.Sprintf("%s=%s", f.name, shellQuote(escape.Printable(f.value, 0))))
		}
	}
	a.printf("%s\n", strings.Join(parts, "  "))
}
