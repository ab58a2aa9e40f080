package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/source"
)

// storeFlags name the store.
type storeFlags struct {
	Store         string        `env:"MTLSGUARD_STORE" placeholder:"URL" help:"The store: a folder, or a URL with ${storeSchemes}. A URL with a password must be in the environment."`
	Fleet         string        `env:"MTLSGUARD_FLEET" placeholder:"NAME" help:"The name of the fleet. Default: fleet of source in mtlsguard.yaml. A folder knows its fleet after the first commit."`
	StoreCacert   string        `env:"MTLSGUARD_STORE_CACERT" placeholder:"FILE" help:"For NATS and etcd: the authorities of the store's certificate. PostgreSQL has sslrootcert in its URL."`
	StoreCert     string        `env:"MTLSGUARD_STORE_CERT" placeholder:"FILE" help:"For NATS and etcd: the client's certificate. PostgreSQL has sslcert in its URL."`
	StoreKey      string        `env:"MTLSGUARD_STORE_KEY" placeholder:"FILE" help:"For NATS and etcd: the key of --store-cert. PostgreSQL has sslkey in its URL."`
	StoreCreds    string        `env:"MTLSGUARD_STORE_CREDS" placeholder:"FILE" help:"For NATS: a file of credentials (.creds)."`
	StoreReplicas int           `env:"MTLSGUARD_STORE_REPLICAS" placeholder:"N" help:"For NATS: how many servers hold the buckets, which the first commit makes: 1, 3 or 5. Default: 1."`
	Timeout       time.Duration `default:"1m" placeholder:"TIME" help:"How long the command waits for the store. Default: ${default}."`
}

// opener opens a store of a fleet. Its error is one of the flags.
type opener func(ctx context.Context, f *storeFlags, fleet string) (source.Store, func(), error)

// openers are the kinds of stores by the scheme of their URL. The empty one is a folder.
var openers = map[string]opener{"": openFolder, "file": openFolder}

// storeSchemes returns the schemes of openers, for people.
func storeSchemes() string {
	var out []string
	for scheme := range openers {
		if scheme != "" {
			out = append(out, scheme+":")
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// scheme returns the scheme of the store's URL. The name of a folder has none.
func (f *storeFlags) scheme() string {
	scheme, _, found := strings.Cut(f.Store, ":")
	if !found || strings.ContainsAny(scheme, "/.\\") || len(scheme) < 2 {
		return ""
	}
	return strings.ToLower(scheme)
}

// open opens the store. fleet is the name that mtlsguard.yaml has, or "". Call end when all is done.
func (f *storeFlags) open(a *app, fleet string) (s *store, end func(), err error) {
	if fleet == "" && f.Fleet == "" {
		if n, err := readConfig(defaultConfig); err == nil { // commands that only read do not need one
			fleet = n.settings.Fleet
		}
	}
	fleet = cmp.Or(f.Fleet, fleet)
	if f.Store == "" {
		return nil, nil, console.UsageError("--store is missing", "--store URL, or MTLSGUARD_STORE in the environment")
	}
	open := openers[f.scheme()]
	if open == nil {
		return nil, nil, console.UsageError("--store: "+escape.Quote(f.scheme(), escape.Short)+" is not the scheme of a store", "--store with the name of a folder, or a URL with "+storeSchemes())
	}
	if err := f.checkPassword(); err != nil {
		return nil, nil, err
	}
	if f.scheme() != "" && f.scheme() != "file" && fleet == "" {
		return nil, nil, console.UsageError("--fleet is missing: such a store may hold several fleets", "--fleet NAME, or MTLSGUARD_FLEET in the environment, or fleet in the block source of mtlsguard.yaml")
	}
	ctx, cancel := context.WithTimeoutCause(a.ctx, f.Timeout, fmt.Errorf("the store has not answered within %v", f.Timeout))
	opened, closeStore, err := open(ctx, f, fleet)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return &store{Store: opened, ctx: ctx, fleet: fleet}, func() { closeStore(); cancel() }, nil
}

// checkPassword rejects a URL with a password on the command line.
func (f *storeFlags) checkPassword() error {
	u, err := url.Parse(f.Store)
	if f.scheme() == "" || f.Store == os.Getenv("MTLSGUARD_STORE") {
		return nil
	}
	hint := "put the URL into the environment variable MTLSGUARD_STORE, and leave --store out"
	switch {
	case err != nil:
		return console.UsageError("--store is not a URL", "write USER:PASSWORD in percent-encoding; "+hint)
	case u.Query().Has("password"):
	default:
		if _, has := u.User.Password(); !has {
			return nil
		}
	}
	return console.UsageError("--store: the URL has a password, which every user of this machine can read in the list of processes", hint)
}

// store is an open store.
type store struct {
	source.Store
	ctx   context.Context // for all that is done with it
	fleet string          // that all generations must have; empty: any
}

// newest returns the newest generation, or nil if there is none.
func (s *store) newest() (*source.Generation, error) {
	g, err := s.Load(s.ctx, nil)
	if errors.Is(err, source.ErrNone) {
		return nil, nil
	}
	return s.checked(g, err)
}

// number returns a generation by its number; 0 is the newest.
func (s *store) number(n uint64) (*source.Generation, error) {
	if n == 0 {
		g, err := s.newest()
		if err == nil && g == nil {
			err = console.UsageError("the store has no generation", "commit the first one: mtlsguard-fleet push FOLDER")
		}
		return g, err
	}
	g, err := s.At(s.ctx, n)
	if errors.Is(err, source.ErrNone) {
		return nil, console.UsageError(fmt.Sprintf("the store has no generation %d, or has it no more", n), "mtlsguard-fleet log lists the generations")
	}
	return s.checked(g, err)
}

// fetch is number, with all files in memory.
func (s *store) fetch(n uint64) (*source.Generation, error) {
	g, err := s.number(n)
	if err != nil {
		return nil, err
	}
	if g, err = g.Fetch(s.ctx); err != nil {
		return nil, s.error(err)
	}
	return g, nil
}

// checked completes what the store has answered.
func (s *store) checked(g *source.Generation, err error) (*source.Generation, error) {
	if err != nil {
		return nil, s.error(err)
	}
	if s.fleet != "" && g.Manifest.Fleet != s.fleet {
		return nil, console.UsageError(fmt.Sprintf("the store is of fleet %q, and the command of fleet %q", g.Manifest.Fleet, s.fleet), "name the store of the fleet, or change --fleet, MTLSGUARD_FLEET or fleet in the block source")
	}
	return g, nil
}

// error returns an error of the store with a hint.
func (s *store) error(err error) error {
	if len(configerror.All(err)) > 0 {
		return err
	}
	if cause := context.Cause(s.ctx); cause != nil {
		err = cause
	}
	return console.UsageError("the store: "+err.Error(), "check --store, and that the store can be reached from here")
}

// openFolder opens a store in a folder.
func openFolder(_ context.Context, f *storeFlags, _ string) (source.Store, func(), error) {
	path := f.Store
	if f.scheme() == "file" {
		u, err := url.Parse(f.Store)
		switch {
		case err != nil, u.Host != "" && u.Host != "localhost", u.RawQuery != "", u.Fragment != "":
			return nil, nil, console.UsageError("--store: "+escape.Quote(f.Store, escape.Short)+" is not the URL of a folder", "--store file:///FOLDER, or the name of the folder alone")
		}
		path = cmp.Or(u.Path, u.Opaque)
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return nil, nil, console.UsageError("--store: "+escape.Quote(path, escape.Short)+" is not a folder", "for a new store, make the folder first: mkdir "+escape.Shell(path))
	}
	return folderStore{source.Folder(path)}, func() {}, nil
}

// folderStore is a store in a folder that the command can prune.
type folderStore struct{ source.FolderStore }

// Prune removes old generations.
func (s folderStore) Prune(ctx context.Context, keep int, younger time.Duration) (int, error) {
	return s.FolderStore.Prune(ctx, source.Retention{Keep: keep, Younger: younger})
}

// checkPair returns an error if only one of certificate and key is there.
func (f *storeFlags) checkPair() error {
	if (f.StoreCert == "") != (f.StoreKey == "") {
		return console.UsageError("--store-cert and --store-key belong together", "--store-cert FILE --store-key FILE")
	}
	return nil
}
