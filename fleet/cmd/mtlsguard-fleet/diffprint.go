package main

import (
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/source"
)

// maxItems bounds the items that are printed of one file. JSON has all.
const maxItems = 100

// compared bounds what is compared for one command: the largest file that a generation may have, and 1.6 GB of memory.
var compared = fleetedit.Limits{Read: 256 << 20, Parse: 4 << 20}

// printDiff prints what changed, a line for each file and each item.
func (a *app) printDiff(indent string, files []fleetedit.FileDiff) {
	if len(files) == 0 {
		a.printf("%sno file differs\n", indent)
	}
	for _, f := range files {
		a.printf("%s%s %s\n", indent, f.Change, escape.Printable(f.Name, 0))
		if f.LeftOut != "" {
			a.printf("%s  %s\n", indent, f.LeftOut)
		}
		for i, item := range f.Items {
			if i == maxItems {
				a.printf("%s  … and %s; --json has all\n", indent, console.Plural(len(f.Items)-i, "more", "more"))
				break
			}
			if item.Old != "" {
				a.printf("%s  - %s\n", indent, escape.Printable(item.Old, 0))
			}
			if item.New != "" {
				a.printf("%s  + %s\n", indent, escape.Printable(item.New, 0))
			}
		}
	}
}

// oneLine describes a generation in one line.
func oneLine(m source.Manifest) string {
	out := "generation " + formatNumber(m.Number) + ", " + formatTime(m.At) + ", by " + escape.Printable(m.Author, 0)
	if m.Note != "" {
		out += ": " + escape.Printable(strings.TrimSpace(m.Note), 0)
	}
	return out
}

type diffCmd struct {
	From uint64 `arg:"" optional:"" help:"The number of the older generation. Default: the one before the newest."`
	To   uint64 `arg:"" optional:"" help:"The number of the newer generation. Default: the newest."`
	storeFlags
}

func (*diffCmd) Help() string {
	return `Shows the files that changed from one generation to another, and in them the mappings, rules, certificates and CRLs.

Examples:
  mtlsguard-fleet diff --store fleet-store
  mtlsguard-fleet diff 41 42 --store fleet-store

Exit status: 0 nothing differs, 1 something differs, 2 a generation cannot be read.`
}

// diffReport is the JSON of diff.
type diffReport struct {
	From  uint64               `json:"from"` // 0: no generation
	To    uint64               `json:"to"`
	Files []fleetedit.FileDiff `json:"files"`
}

func (c *diffCmd) Run(a *app) error {
	s, end, err := c.open(a, "")
	if err != nil {
		return err
	}
	defer end()
	to, err := s.number(c.To)
	if err != nil {
		return err
	}
	from := to
	switch {
	case c.From > 0:
		from, err = s.number(c.From)
	case to.Manifest.Number == 1:
		from = nil
	default:
		from, err = s.number(to.Manifest.Number - 1)
	}
	if err != nil {
		return err
	}
	out := diffReport{To: to.Manifest.Number}
	if from != nil {
		out.From = from.Manifest.Number
	}
	if out.Files, err = fleetedit.Diff(s.ctx, from, to, compared); err != nil {
		return s.error(err)
	}
	if a.json {
		err = a.printJSON(out)
	} else {
		a.printf("%s\n", oneLine(to.Manifest))
		a.printDiff("", out.Files)
	}
	if err == nil && len(out.Files) > 0 {
		return console.ErrNegative
	}
	return err
}

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
