package main

import (
	"github.com/mtlsguard/mtlsguard/internal/console"
)

type usersListCmd struct {
	User string `placeholder:"NAME" help:"List the mappings of this user only."`
	configFlags
	storeFlags
}

func (*usersListCmd) Help() string {
	return `Lists the mappings of the newest generation.

Examples:
  mtlsguard-fleet users list --store fleet-store
  mtlsguard-fleet users list --store fleet-store --user orders-api

Exit status: 0 mappings are listed, 1 there are none, 2 they cannot be read.`
}

func (c *usersListCmd) Run(a *app) error {
	configs, fleet, err := c.read()
	if err != nil {
		return err
	}
	n := &configs[0]
	if err := n.sharesUsers(); err != nil {
		return err
	}
	s, end, err := c.open(a, fleet)
	if err != nil {
		return err
	}
	defer end()
	g, err := s.fetch(0)
	if err != nil {
		return err
	}
	f, err := openUsers(s.ctx, configs, n, g)
	if err != nil {
		return err
	}
	out, rows, err := f.List(c.User, a.now())
	if err != nil {
		return err
	}
	switch {
	case a.json:
		err = a.printJSON(out)
	case len(out) > 0:
		a.printTable(rows)
	}
	if err == nil && len(out) == 0 {
		return console.ErrNegative
	}
	return err
}
