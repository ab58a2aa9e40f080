package main

import (
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
)

// conflict prints the change of another editor and that of the command. It merges nothing.
func (c *commitFlags) conflict(a *app, s *store, p proposal, out *commitReport) error {
	newest, err := s.newest()
	if err != nil {
		return err
	}
	if newest == nil {
		return s.error(fmt.Errorf("generation %d is there no more", out.Parent))
	}
	theirs, err := fleetedit.Diff(s.ctx, p.parent, newest, compared)
	if err != nil {
		return s.error(err)
	}
	out.Conflict = &conflictWith{newest.Manifest, theirs}
	if a.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		a.printf("committed meanwhile: %s\n", oneLine(newest.Manifest))
		a.printDiff("  ", theirs)
		a.printf("your change of generation %d, which is not committed:\n", out.Parent)
		a.printDiff("  ", out.Files)
	}
	hint := "nothing was merged: run the command again"
	if p.folder != "" && p.parent != nil {
		hint = fmt.Sprintf("nothing was merged: bring the other change into %s, and then push it with --parent %d", escape.Shell(p.folder), newest.Manifest.Number)
	}
	return &refused{console.UsageError(fmt.Sprintf("generation %d was committed by %s meanwhile: this change is based on generation %d", newest.Manifest.Number, newest.Manifest.Author, out.Parent), hint)}
}
