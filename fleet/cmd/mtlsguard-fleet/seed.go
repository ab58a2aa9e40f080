package main

import (
	"context"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

type seedCmd struct {
	Number uint64 `arg:"" optional:"" help:"The number of the generation. Default: the newest."`
	Out    string `required:"" placeholder:"FOLDER" help:"The folder that is keep in the block source of the node."`
	storeFlags
	configFlags
}

func (*seedCmd) Help() string {
	return `Checks a generation as the node would, and writes it into a new keep: a node with it starts at once, whether it reaches the store or not. Put the folder into an image, or copy it to a machine; it must belong to the user of the server.

Example:
  mtlsguard-fleet seed --store fleet-store --out keep

Exit status: 0 the folder is written, 2 it is not.`
}

// seedReport is the JSON of seed.
type seedReport struct {
	Out    string `json:"out"`
	Fleet  string `json:"fleet"`
	Number uint64 `json:"number"`
	Digest string `json:"digest"`
}

func (c *seedCmd) Run(a *app) error {
	configs, fleet, err := c.read()
	if err != nil {
		return err
	}
	keep := source.OpenKeep(c.Out)
	if all, err := keep.Generations(); err != nil || len(all) > 0 {
		return &configerror.Error{File: c.Out, What: "the folder holds generations already, perhaps of a server that runs", Hint: "nothing was written: name a new folder"}
	}
	s, end, err := c.open(a, fleet)
	if err != nil {
		return err
	}
	defer end()
	g, err := s.fetch(c.Number)
	if err != nil {
		return err
	}
	if err := checkFleet(configs, g, true); err != nil {
		return err
	}
	if _, _, err := checkNext(s.ctx, configs, nil, g, a.now); err != nil {
		return err
	}
	if err := writeKeep(s.ctx, keep, g); err != nil {
		return &configerror.Error{File: c.Out, What: "the folder cannot be written: " + err.Error(), Hint: "name another one"}
	}
	out := seedReport{c.Out, g.Manifest.Fleet, g.Manifest.Number, g.Digest().String()}
	if a.json {
		return a.printJSON(out)
	}
	a.printf("%s\n", fmt.Sprintf("generation %d of fleet %s is in %s", out.Number, escape.Printable(out.Fleet, 0), escape.Printable(c.Out, 0)))
	return nil
}

// writeKeep writes g into a folder, as a server does.
func writeKeep(ctx context.Context, keep *source.Keep, g *source.Generation) error {
	unlock, err := keep.Lock()
	if err != nil {
		return err
	}
	defer unlock()
	g, err = keep.Add(ctx, g)
	if err != nil {
		return err
	}
	return keep.SetCurrent(g)
}
