package main

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/source"
)

// commitFlags are the flags of every command that commits a generation.
type commitFlags struct {
	Note   string `placeholder:"TEXT" help:"Why: a ticket, a reason."`
	Sign   string `placeholder:"KEY" env:"MTLSGUARD_SIGN" help:"A file with the Ed25519 private key that signs, in PEM."`
	Out    string `placeholder:"FILE" help:"Commit nothing, and write the generation into FILE for another person: mtlsguard-fleet sign FILE, and then push FILE."`
	Yes    bool   `help:"Commit a generation that allows nothing, or that lacks more than half of the mappings."`
	DryRun bool   `help:"Check and show what changes, and commit nothing."`
	configFlags
	storeFlags
}

// commitReport is the JSON of the commands that commit.
type commitReport struct {
	Fleet     string               `json:"fleet"`
	Number    uint64               `json:"number"`
	Digest    string               `json:"digest"`
	Parent    uint64               `json:"parent"` // 0: none
	Committed bool                 `json:"committed"`
	Out       string               `json:"out,omitempty"`
	Same      bool                 `json:"same,omitempty"` // the parent has these files already
	Files     []fleetedit.FileDiff `json:"files"`
	Findings  []finding            `json:"findings,omitempty"`
	NeedsYes  []string             `json:"needs_yes,omitempty"`
	Conflict  *conflictWith        `json:"conflict,omitempty"`
	Users     *useredit.Change     `json:"users,omitempty"` // of the commands of users
	made      *source.Generation
}

// finding is a finding of lint that the parent does not have.
type finding struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

// conflictWith is the generation that another editor has committed.
type conflictWith struct {
	Manifest source.Manifest      `json:"manifest"`
	Files    []fleetedit.FileDiff `json:"files"` // what it changed since the parent
}

// commit checks a proposal as nodes would, shows what changes, signs it, and commits it on its parent.
func (c *commitFlags) commit(a *app, s *store, configs []nodeConfig, p proposal) (commitReport, error) {
	g, err := c.next(a, s, configs, p)
	if err != nil {
		return commitReport{}, p.placed(configs, err)
	}
	out := commitReport{Fleet: g.Manifest.Fleet, Number: g.Manifest.Number, Digest: g.Digest().String(), Out: c.Out, Users: p.users, made: g}
	if p.parent != nil {
		out.Parent = p.parent.Manifest.Number
	}
	if out.Files, err = fleetedit.Diff(s.ctx, p.parent, g, compared); err != nil {
		return out, s.error(err)
	}
	if p.parent != nil && len(out.Files) == 0 && slices.Equal(g.Manifest.Ports, p.parent.Manifest.Ports) && checkFleet(configs, p.parent, true) == nil {
		out.Same, out.Number, out.Digest, out.made = true, out.Parent, p.parent.Digest().String(), p.parent
		return out, c.report(a, p, out)
	}
	findings, needsYes, err := checkNext(s.ctx, configs, p.parent, g, a.now)
	if err != nil {
		return out, p.placed(configs, err)
	}
	out.NeedsYes = needsYes
	if p.parent != nil {
		if why := whyUnused(configs, p.parent); why != "" { // the diff against it, and a folder that show has written, may contain forged files
			out.NeedsYes = append(out.NeedsYes, why)
		}
	}
	for _, f := range findings {
		out.Findings = append(out.Findings, finding{p.place(configs, f.File), f.Line, f.What, f.Hint})
	}
	if err := checkFleet(configs, g, c.Out == "" && !c.DryRun); err != nil {
		return out, err
	}
	return out, c.finish(a, s, p, g, &out)
}

// finish commits a checked generation.
func (c *commitFlags) finish(a *app, s *store, p proposal, g *source.Generation, out *commitReport) error {
	newest, err := s.newest()
	if err != nil {
		return err
	}
	switch {
	case !sameManifest(newest, p.parent):
		err = source.ErrConflict
	case len(out.NeedsYes) > 0 && !c.Yes:
		if err := c.report(a, p, *out); err != nil {
			return err
		}
		return &refused{console.UsageError(strings.Join(out.NeedsYes, "; ")+": nothing was committed", "check what changes, and run the command again with --yes")}
	case c.DryRun:
	case c.Out != "":
		err = writePending(c.Out, g)
	default:
		if err = s.Commit(s.ctx, g); err == nil {
			a.committed, out.Committed = g.Manifest.Number, true
		}
	}
	switch {
	case errors.Is(err, source.ErrConflict):
		return c.conflict(a, s, p, out)
	case err != nil && c.Out != "":
		return err
	case err != nil:
		return s.error(fmt.Errorf("%w (mtlsguard-fleet log shows whether generation %d is committed)", err, g.Manifest.Number))
	}
	return c.report(a, p, *out)
}

// sameManifest reports whether two generations have the same manifest. nil is none.
func sameManifest(a, b *source.Generation) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Digest() == b.Digest())
}

// next makes the generation of a proposal, and signs it.
func (c *commitFlags) next(a *app, s *store, configs []nodeConfig, p proposal) (*source.Generation, error) {
	g := p.pending
	if g == nil {
		m := p.manifest
		m.Author, m.Note, m.At = author(), cmp.Or(c.Note, m.Note), a.now().UTC().Truncate(time.Second)
		if m.Ports == nil {
			m.Ports = portsOf(configs, p.parent)
		}
		if p.parent == nil {
			if m.Fleet = s.fleet; m.Fleet == "" {
				return nil, console.UsageError("--fleet is missing: the first generation gives the fleet its name", "--fleet NAME, or fleet in the block source of mtlsguard.yaml")
			}
		}
		var err error
		if g, err = source.Next(p.parent, m, p.files); err != nil {
			return nil, err
		}
	}
	if c.Sign == "" {
		return g, nil
	}
	key, err := readSigningKey(c.Sign)
	if err != nil {
		return nil, err
	}
	return signOnce(g, key)
}

// signOnce signs a generation, unless this key has signed it already.
func signOnce(g *source.Generation, key ed25519.PrivateKey) (*source.Generation, error) {
	if (source.Signers{key.Public().(ed25519.PublicKey)}).Check(g) == nil {
		return g, nil
	}
	return g.Sign(key)
}

// author returns the user of the operating system.
func author() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// report prints the result.
func (c *commitFlags) report(a *app, p proposal, out commitReport) error {
	if p.users != nil {
		p.users.Written = out.Committed
	}
	if a.json {
		return a.printJSON(out)
	}
	if out.Same {
		a.printf("nothing to commit: generation %d has these files\n", out.Number)
		return nil
	}
	if p.users != nil {
		p.users.Print(a.stdout)
	} else {
		a.printDiff("", out.Files)
	}
	for _, f := range out.Findings {
		at := &configerror.Error{File: f.File, Line: f.Line}
		a.printf("warning: %s: %s\n", escape.Printable(at.Position(), 0), escape.Printable(f.What, 0))
		if f.Hint != "" {
			a.printf("    %s\n", escape.Printable(f.Hint, 0))
		}
	}
	switch {
	case out.Committed:
		a.printf("generation %d of fleet %s is committed\n", out.Number, escape.Printable(out.Fleet, 0))
	case len(out.NeedsYes) > 0 && !c.Yes:
	case c.DryRun:
		a.printf("generation %d would be committed\n", out.Number)
	default:
		a.printf("generation %d is in %s: mtlsguard-fleet sign %s --key KEY, then push %s\n", out.Number, escape.Printable(out.Out, 0), escape.Shell(out.Out), escape.Shell(out.Out))
	}
	return nil
}

func formatNumber(n uint64) string { return strconv.FormatUint(n, 10) }
