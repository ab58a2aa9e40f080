package main

import (
	"context"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/duration"
)

// pruner removes old generations from a store: all that are neither among the newest keep nor younger. It
// returns how many.
type pruner interface {
	Prune(ctx context.Context, keep int, younger time.Duration) (int, error)
}

type pruneCmd struct {
	Keep    int    `default:"50" placeholder:"N" help:"Keep the newest N generations. Default: ${default}."`
	Younger string `default:"90d" placeholder:"TIME" help:"Keep generations that are younger than this. Default: ${default}."`
	storeFlags
}

func (*pruneCmd) Help() string {
	return `Removes generations that are neither among the newest nor young, and the files that only they have. Removed generations are gone from log, diff and rollback: make a backup first.

Example:
  mtlsguard-fleet prune --store fleet-store --keep 100 --younger 365d

Exit status: 0 the store is pruned, 2 it is not.`
}

func (c *pruneCmd) Run(a *app) error {
	younger, err := duration.Parse(c.Younger)
	switch {
	case err != nil || younger < 0:
		return console.UsageError("--younger: "+strconv.Quote(c.Younger)+" is not a time", duration.Hint)
	case c.Keep < 1:
		return console.UsageError("--keep is below 1", "--keep 50")
	}
	s, end, err := c.open(a, "")
	if err != nil {
		return err
	}
	defer end()
	p, ok := s.Store.(pruner)
	if !ok {
		return console.UsageError("this kind of store cannot be pruned by the command", "docs/fleet.md shows how to prune it")
	}
	n, err := p.Prune(s.ctx, c.Keep, younger)
	if err != nil {
		return s.error(err)
	}
	if a.json {
		return a.printJSON(map[string]int{"removed": n})
	}
	a.printf("generations removed: %d\n", n)
	return nil
}
