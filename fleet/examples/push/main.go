// Command push commits the files of a folder as the next generation of a fleet, in any store. Without a
// folder it prints the nodes and what they have in effect. Unlike mtlsguard-fleet it does not check the files.
// Package storeflag opens any kind of store; a program of your own opens its store as store/*/examples/node do.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/source"
)

func main() {
	log.SetFlags(0)
	var of storeflag.Flags
	flag.StringVar(&of.Store, "store", os.Getenv("MTLSGUARD_STORE"), "the store: a folder, or a URL with "+storeflag.Schemes())
	key := flag.String("key", "signer.pem", "the Ed25519 key that signs, in PEM")
	author := flag.String("author", os.Getenv("USER"), "the author")
	note := flag.String("note", "", "why")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	store, end, err := of.Open(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	defer end()
	if flag.NArg() == 0 {
		err = report(ctx, store)
	} else {
		err = push(ctx, store, flag.Arg(0), *key, source.Manifest{Fleet: "orders", Author: *author, Note: *note})
	}
	if err != nil {
		log.Fatal(err)
	}
}

// push commits a folder after the newest generation.
func push(ctx context.Context, store source.Store, folder, keyFile string, m source.Manifest) error {
	key, err := loadKey(keyFile)
	if err != nil {
		return err
	}
	parent, err := store.Load(ctx, nil)
	if err != nil && !errors.Is(err, source.ErrNone) {
		return err
	}
	g, err := source.Next(parent, m, os.DirFS(folder))
	if err != nil {
		return err
	}
	if g, err = g.Sign(key); err != nil {
		return err
	}
	if err := store.Commit(ctx, g); err != nil {
		return err // source.ErrConflict: another editor was faster
	}
	fmt.Println("committed generation", g.Manifest.Number)
	return nil
}

// report prints what each node has in effect.
func report(ctx context.Context, store source.Store) error {
	all, err := store.Reports(ctx)
	for _, r := range all {
		fmt.Println(r.Node, "generation", r.Number, r.Errors)
	}
	return err
}

func loadKey(file string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", file)
	}
	return key, nil
}
