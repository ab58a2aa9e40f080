package fleetedit

import (
	"context"
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/source"
)

// Restored returns the files of the generation in effect, with the users and the policy of an older one. CRLs, anchors and all
// else stay: older CRLs would let revoked certificates in. It returns how many files the older one has.
func (n *Node) Restored(ctx context.Context, old *source.Generation) (files Contents, found int, err error) {
	if files, err = ContentsOf(ctx, n.Site.Fleet); err != nil {
		return nil, 0, err
	}
	restored, err := ContentsOf(ctx, old)
	if err != nil {
		return nil, 0, err
	}
	users, rules := n.Inside(n.Site.Users), n.Inside(n.Site.Policy)
	return files, files.Restore(restored, func(name string) bool { return IsPartOf(name, users, rules) }), nil
}

// ErrNotAncestor is wrapped by the error of a store whose generation is not the one that the next one names as its parent.
var ErrNotAncestor = errors.New("it is damaged, or somebody has replaced it")

// CheckParent returns why parent, which a store holds, is not the parent of g.
func CheckParent(g, parent *source.Generation) error {
	if !g.Follows(parent) {
		return fmt.Errorf("generation %d of the store is not the parent of generation %d: %w", g.Manifest.Number-1, g.Manifest.Number, ErrNotAncestor)
	}
	return nil
}

// Ancestor returns a generation before now, which was checked. A signature alone is not enough to trust a store: an
// editor who has lost a race has signed a generation that was never in effect.
func Ancestor(ctx context.Context, store source.Store, now *source.Generation, number uint64) (*source.Generation, error) {
	for now.Manifest.Number > number {
		parent, err := store.At(ctx, now.Manifest.Number-1)
		if err == nil {
			err = CheckParent(now, parent)
		}
		if err != nil {
			return nil, err
		}
		now = parent
	}
	return now, nil
}

// Allows reports whether a loaded generation allows a request.
func Allows(ctx context.Context, g *site.Generation, r policy.Request) bool {
	if g.Engine == nil {
		return true // the policy is part of the program, and stays
	}
	d, err := g.Engine.Decide(ctx, r)
	return err == nil && d.Allowed
}
