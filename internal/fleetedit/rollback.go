package fleetedit

import (
	"context"

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

// Allows reports whether a loaded generation allows a request.
func Allows(ctx context.Context, g *site.Generation, r policy.Request) bool {
	if g.Engine == nil {
		return true // the policy is part of the program, and stays
	}
	d, err := g.Engine.Decide(ctx, r)
	return err == nil && d.Allowed
}
