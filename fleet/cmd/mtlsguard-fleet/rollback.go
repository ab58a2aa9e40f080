package main

import (
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/fleetedit"
	"github.com/mtlsguard/mtlsguard/source"
)

type rollbackCmd struct {
	Number uint64 `arg:"" help:"The number of the generation whose users and policy are wanted again."`
	commitFlags
}

func (*rollbackCmd) Help() string {
	return `Commits a new generation with the users and the policy of an older one, and with all other files as they are now: CRLs, anchors and the rest. Older CRLs would let certificates in again that are revoked now, and nodes refuse them.

Example:
  mtlsguard-fleet rollback 41 --store fleet-store --note "43 was a mistake" --sign signer.pem

Exit status: 0 the generation is committed, or the users and the policy are the same, 1 another editor was faster or --yes is needed, 2 it cannot be committed.`
}

func (c *rollbackCmd) Run(a *app) error {
	configs, fleet, err := c.read()
	if err != nil {
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
	old, err := s.fetchSigned(c.Number, configs)
	if err != nil {
		return err
	}
	if c.Number == parent.Manifest.Number {
		return console.UsageError(fmt.Sprintf("generation %d is the newest", c.Number), "name an older one: mtlsguard-fleet log")
	}
	known, err := fleetedit.Ancestor(s.ctx, s.Store, parent, c.Number)
	if err == nil && known.Digest() != old.Digest() {
		err = fmt.Errorf("generation %d: %w", c.Number, fleetedit.ErrNotAncestor)
	}
	if err != nil {
		return s.error(err)
	}
	files, err := fleetedit.ContentsOf(s.ctx, parent)
	if err != nil {
		return s.error(err)
	}
	restored, err := fleetedit.ContentsOf(s.ctx, old)
	if err != nil {
		return s.error(err)
	}
	found := files.Restore(restored, func(name string) bool { return isUsersOrPolicy(configs, name) })
	if found == 0 {
		return console.UsageError(fmt.Sprintf("generation %d has no file that is users or policy of --config", c.Number), "mtlsguard-fleet show "+formatNumber(c.Number)+" lists its files")
	}
	fsys, err := files.FS()
	if err != nil {
		return err
	}
	_, err = c.commit(a, s, configs, proposal{parent: parent, files: fsys, manifest: source.Manifest{Restores: c.Number, Ports: restoredPorts(configs, parent, old)}})
	return err
}

// restoredPorts returns the names of ports that old rules and mappings may use besides the current
// ones.
func restoredPorts(configs []nodeConfig, parent, old *source.Generation) []string {
	both := *parent
	both.Manifest.Ports = append(append([]string{}, parent.Manifest.Ports...), old.Manifest.Ports...)
	return portsOf(configs, &both)
}

// isUsersOrPolicy reports whether a file of a generation is the users or the policy of a node.
func isUsersOrPolicy(configs []nodeConfig, name string) bool {
	return slices.ContainsFunc(configs, func(n nodeConfig) bool { return fleetedit.IsPartOf(name, n.users, n.policy) })
}
