package main

type usersCmd struct {
	List    usersListCmd    `cmd:"" help:"List the mappings."`
	Add     usersAddCmd     `cmd:"" help:"Map a certificate to a user."`
	Remove  usersRemoveCmd  `cmd:"" help:"Remove mappings by id or by user."`
	Disable usersDisableCmd `cmd:"" help:"Refuse the certificates of a user, and keep the mappings."`
	Enable  usersEnableCmd  `cmd:"" help:"Undo users disable."`
	Split   usersSplitCmd   `cmd:"" help:"Split a large file into a folder of small ones."`
}

// usersFlags names the file of users.
type usersFlags struct {
	Config string `required:"" xor:"of" placeholder:"FILE" help:"The server's mtlsguard.yaml, which names the file of users."`
	Users  string `required:"" xor:"of" placeholder:"FILE" help:"The users.yaml, users.jsonl or folder itself. Port names are then not checked."`
}

type usersListCmd struct {
	usersFlags
	User string `placeholder:"NAME" help:"List the mappings of this user only."`
}

func (*usersListCmd) Help() string {
	return `Examples:
  mtlsguard users list --config mtlsguard.yaml
  mtlsguard users list --users users.yaml --user orders-api

Exit status: 0 mappings are listed, 1 there are none, 2 the file does not load.`
}

func (c *usersListCmd) Run(a *app) error {
	f, err := c.open()
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
		a.printTable("", rows)
	}
	if err == nil && len(out) == 0 {
		return errNegative
	}
	return err
}
