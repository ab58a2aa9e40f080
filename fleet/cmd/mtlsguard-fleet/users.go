package main

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/source"
)

type usersCmd struct {
	List    usersListCmd    `cmd:"" help:"List the mappings."`
	Add     usersAddCmd     `cmd:"" help:"Map a certificate to a user."`
	Remove  usersRemoveCmd  `cmd:"" help:"Remove mappings by id or by user."`
	Disable usersDisableCmd `cmd:"" help:"Refuse the certificates of a user, and keep the mappings."`
	Enable  usersEnableCmd  `cmd:"" help:"Undo users disable."`
}

// usersFlags are the flags of the commands that change mappings. They are those of commitFlags without Ports,
// because users add has a flag of that name.
type usersFlags struct{ commitFlags }

const usersHelp = ` on the newest generation, and commits the result as the next one. All other lines and files stay as they are. The checks are those of mtlsguard users, with the files of the generation.

`

const usersExit = `
Exit status: 0 the generation is committed, or there is nothing to change, 1 another editor was faster or --yes is needed, 2 it cannot be committed.`

// change changes the mappings of the newest generation. config is the first --config.
func (c *usersFlags) change(a *app, make func(*useredit.File) (*useredit.Change, error)) error {
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
	parent, err := s.fetchSigned(0, configs)
	if err != nil {
		return err
	}
	f, err := openUsers(s.ctx, configs, n, parent)
	if err != nil {
		return err
	}
	change, err := make(f)
	if err != nil {
		return err
	}
	files, err := fleetedit.ContentsOf(s.ctx, parent)
	if err != nil {
		return s.error(err)
	}
	files.Edit(f, change.Edit, n.belowMount) // as openUsers opened it
	fsys, err := files.FS()
	if err != nil {
		return err
	}
	_, err = c.commit(a, s, configs, proposal{parent: parent, files: fsys, users: change})
	return err
}

// sharesUsers returns an error if the users are not part of generations.
func (n *nodeConfig) sharesUsers() error {
	if n.users != "" {
		return nil
	}
	return &configerror.Error{File: n.path, What: "users is not below the mount of source: the fleet shares no mappings", Hint: "mtlsguard users changes the file of this node"}
}

// openUsers opens the file of users of a generation, under its name on a node.
func openUsers(ctx context.Context, configs []nodeConfig, n *nodeConfig, g *source.Generation) (*useredit.File, error) {
	reader := fileset.New(nil)
	reader.Mount = &fileset.Mount{Folder: n.settings.Mount, FS: g.FS()}
	files := useredit.Files{
		Read: reader.Get,
		List: func(name, end string) ([]string, bool) { return reader.List(name, end) },
		Command: func(verb, args string) string {
			return "mtlsguard-fleet users " + verb + " --config " + escape.Shell(n.path) + " " + args
		},
	}
	config := &useredit.Config{Path: n.path, Ports: portsOf(configs, g), Anchors: n.anchors, Load: func(_ context.Context, now func() time.Time) (*site.Generation, error) {
		loaded, err := n.load(ctx, g, nil, now)
		return loaded.Generation, err
	}}
	return useredit.Open(files, config, n.settings.Mount+string(filepath.Separator)+filepath.FromSlash(n.users))
}

type usersAddCmd struct {
	useredit.Add
	usersFlags
}

func (*usersAddCmd) Help() string {
	return `Maps a certificate` + usersHelp + `Examples:
  mtlsguard-fleet users add --store fleet-store --cert stranger.pem --user stranger --note "CHG-1234"
  mtlsguard-fleet users add --store fleet-store --cert orders.pem --user orders-batch --by subject --ports internal
` + usersExit
}

func (c *usersAddCmd) Run(a *app) error {
	return c.change(a, func(f *useredit.File) (*useredit.Change, error) {
		return c.Add.Change(a.ctx, f, a.now, func() ([]*x509.Certificate, error) { return readChain(c.Cert) })
	})
}

// readChain reads the certificate of a user, and the issuers after it in the file.
func readChain(name string) ([]*x509.Certificate, error) {
	entries, err := certfile.Read(name, certfile.Passwords{Store: os.Getenv("MTLSGUARD_PASSWORD")})
	if err != nil {
		return nil, err
	}
	if len(entries) != 1 {
		return nil, &configerror.Error{File: name, What: "the keystore has several entries", Hint: "mtlsguard keys import --out FOLDER " + escape.Shell(name) + " writes each into its own file"}
	}
	return entries[0].Chain, nil
}

type usersRemoveCmd struct {
	useredit.Remove
	usersFlags
}

func (*usersRemoveCmd) Help() string {
	return `Removes mappings` + usersHelp + `Examples:
  mtlsguard-fleet users remove --store fleet-store orders
  mtlsguard-fleet users remove --store fleet-store --user orders-api --dry-run
` + usersExit
}

func (c *usersRemoveCmd) Run(a *app) error {
	if err := c.Check("mtlsguard-fleet users remove"); err != nil {
		return err
	}
	return c.change(a, c.Change)
}

type usersDisableCmd struct {
	useredit.Disable
	usersFlags
}

func (*usersDisableCmd) Help() string {
	return `Sets disabled: true in the mappings of a user` + usersHelp + `Examples:
  mtlsguard-fleet users disable --store fleet-store orders-api
  mtlsguard-fleet users disable --store fleet-store --id carol --dry-run
` + usersExit
}

func (c *usersDisableCmd) Run(a *app) error {
	if err := c.Check("mtlsguard-fleet users disable"); err != nil {
		return err
	}
	return c.change(a, func(f *useredit.File) (*useredit.Change, error) { return c.Change(f, true) })
}

type usersEnableCmd struct {
	useredit.Disable
	usersFlags
}

func (*usersEnableCmd) Help() string {
	return `Sets disabled: false in the mappings of a user` + usersHelp + `Examples:
  mtlsguard-fleet users enable --store fleet-store orders-api
  mtlsguard-fleet users enable --store fleet-store --id carol --dry-run
` + usersExit
}

func (c *usersEnableCmd) Run(a *app) error {
	if err := c.Check("mtlsguard-fleet users enable"); err != nil {
		return err
	}
	return c.change(a, func(f *useredit.File) (*useredit.Change, error) { return c.Change(f, false) })
}
