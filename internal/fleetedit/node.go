package fleetedit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/site"
	"github.com/mtlsguard/mtlsguard/internal/useredit"
	"github.com/mtlsguard/mtlsguard/source"
)

// OfServer returns the node that a running *mtlsguard.Server is at this moment, or nil if it follows no source. Package
// mtlsguard sets OfServer when the program starts. It is safe for concurrent use.
var OfServer func(server any) *Node

// Node is a running server that follows a source.
type Node struct {
	Path   string           // of mtlsguard.yaml
	Site   *site.Generation // in effect
	Source source.Source
	// Load loads a generation as the server would, and puts nothing into effect. Besides errors there are findings of
	// lint.
	Load func(context.Context, *source.Generation) (*site.Generation, []configerror.Finding, error)
	// Await waits until a generation, or a newer one, is in effect. The error is the reason why it is not.
	Await func(context.Context, *source.Generation) error
}

// SharesUsers reports whether the users of the server are those of the fleet.
func (n *Node) SharesUsers() bool {
	return n.Site.Fleet != nil && n.Site.Users != "" && n.Site.Files.Mounted(n.Site.Users)
}

// Users opens the users of the generation in effect.
func (n *Node) Users() (*useredit.File, error) { return useredit.OfFleet(n.Path, n.Site) }

// Inside returns the name in a generation of a file, or "".
func (n *Node) Inside(name string) string { return n.Site.Files.Inside(name) }

// CheckKey returns why generations that are signed with a key would be refused by the node. A key of nil signs nothing.
func (n *Node) CheckKey(key crypto.Signer) error {
	switch {
	case n.Site.Source.Unsigned:
		return nil
	case key == nil:
		return errors.New("this program has no key to sign a generation, and its fleet uses signed ones only")
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || !slices.ContainsFunc(n.Site.Source.Signers, func(s ed25519.PublicKey) bool { return s.Equal(public) }) {
		return errors.New("the key of this program is not one of the signers of its fleet")
	}
	return nil
}

// Check returns why a generation may not be used: it is of another fleet than the one in effect, or no trusted signer has
// signed it.
func (n *Node) Check(g *source.Generation) error {
	if now := n.Site.Fleet.Manifest.Fleet; g.Manifest.Fleet != now {
		return &configerror.Error{What: fmt.Sprintf("generation %d is of fleet %q, and this node is of fleet %q", g.Manifest.Number, g.Manifest.Fleet, now), Hint: "use the store of the fleet"}
	}
	return n.Site.Source.Check(g)
}

// Next returns the generation after the one in effect, with other files. It is signed unless key is nil.
func (n *Node) Next(m source.Manifest, files Contents, key crypto.Signer) (*source.Generation, error) {
	fsys, err := files.FS()
	if err != nil {
		return nil, err
	}
	g, err := source.Next(n.Site.Fleet, m, fsys)
	if err == nil && key != nil {
		g, err = g.Sign(key)
	}
	if err != nil {
		return nil, err
	}
	return g, n.Check(g)
}

// LoadNext loads a generation, and returns it with the findings of lint that the one in effect does not have.
func (n *Node) LoadNext(ctx context.Context, g *source.Generation) (*site.Generation, []string, error) {
	next, found, err := n.Load(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	_, before, err := n.Load(ctx, n.Site.Fleet)
	if err != nil {
		before = nil // a file of this node is wrong by now; g has loaded
	}
	type key struct{ file, what string }
	known := map[key]bool{}
	for _, f := range before {
		known[key{f.File, f.What}] = true
	}
	var out []string
	for _, f := range found {
		if !f.Note && !known[key{f.File, f.What}] {
			out = append(out, fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.What))
		}
	}
	return next, out, nil
}
