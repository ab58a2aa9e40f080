package source_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/source"
)

// An editor signs a generation; a node checks it and reads its files.
func Example() {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	files := fstest.MapFS{
		"users.yaml": {Data: []byte("users: []\n")},
		"policy.csv": {Data: []byte("p, alice, internal, /orders, GET, allow\n")},
	}
	g, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna", Note: "first"}, files)
	if err != nil {
		fmt.Println(err)
		return
	}
	if g, err = g.Sign(private); err != nil {
		fmt.Println(err)
		return
	}
	if err := (source.Signers{public}).Check(g); err != nil {
		fmt.Println(err)
		return
	}
	if g, err = g.Fetch(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	policy, err := fs.ReadFile(g.FS(), "policy.csv")
	fmt.Printf("%s %d: %s%v\n", g.Manifest.Fleet, g.Manifest.Number, policy, err)
	// Output: orders 1: p, alice, internal, /orders, GET, allow
	// <nil>
}
