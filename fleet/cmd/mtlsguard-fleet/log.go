package main

import (
	"cmp"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type logCmd struct {
	Number int    `short:"n" default:"20" placeholder:"N" help:"How many generations to list. Default: ${default}."`
	Before uint64 `placeholder:"N" help:"List those before generation N."`
	storeFlags
}

func (*logCmd) Help() string {
	return `Lists the generations, newest first: number, time, author and note.

Examples:
  mtlsguard-fleet log --store fleet-store
  mtlsguard-fleet log --store fleet-store -n 100 --before 42

Exit status: 0 generations are listed, 1 there are none, 2 the store cannot be read.`
}

func (c *logCmd) Run(a *app) error {
	if c.Number < 1 {
		return console.UsageError("-n is below 1", "-n 20")
	}
	s, end, err := c.open(a, "")
	if err != nil {
		return err
	}
	defer end()
	all, err := s.History(s.ctx, c.Before, c.Number)
	if err != nil {
		return s.error(err)
	}
	if a.json {
		if all == nil {
			all = []source.Manifest{}
		}
		err = a.printJSON(all)
	} else if len(all) > 0 {
		rows := [][]string{{"NUMBER", "TIME", "AUTHOR", "NOTE"}}
		for _, m := range all {
			note := cmp.Or(escape.Printable(m.Note, 0), "-")
			if m.Restores > 0 {
				note = "restores " + formatNumber(m.Restores) + "  " + note
			}
			rows = append(rows, []string{formatNumber(m.Number), formatTime(m.At), escape.Printable(m.Author, 0), note})
		}
		a.printTable(rows)
	}
	if err == nil && len(all) == 0 {
		return console.ErrNegative
	}
	return err
}
