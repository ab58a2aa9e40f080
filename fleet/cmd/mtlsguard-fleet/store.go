package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
	"github.com/mtlsguard/mtlsguard/internal/console"
	"github.com/mtlsguard/mtlsguard/source"
)

// storeFlags name the store.
type storeFlags struct {
	storeflag.Flags
	Timeout time.Duration `default:"1m" placeholder:"TIME" help:"How long the command waits for the store. Default: ${default}."`
}

// open opens the store. fleet is the name that mtlsguard.yaml has, or "". Call end when all is done.
func (f *storeFlags) open(a *app, fleet string) (s *store, end func(), err error) {
	if fleet == "" && f.Fleet == "" {
		if n, err := readConfig(defaultConfig); err == nil { // commands that only read do not need one
			fleet = n.settings.Fleet
		}
	}
	fleet = cmp.Or(f.Fleet, fleet)
	ctx, cancel := context.WithTimeoutCause(a.ctx, f.Timeout, fmt.Errorf("the store has not answered within %v", f.Timeout))
	opened, closeStore, err := f.Open(ctx, fleet)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	return &store{Store: opened, ctx: ctx, fleet: fleet}, func() { closeStore(); cancel() }, nil
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
	if err == nil && g.Manifest.Number != n {
		err = fmt.Errorf("it has generation %d under the number %d", g.Manifest.Number, n)
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

// fetchSigned is fetch for a generation whose files become part of another one. A generation that nodes would
// refuse is an error: otherwise an attacker with write access to the store, but without a key, could make an editor sign forged files.
func (s *store) fetchSigned(n uint64, configs []nodeConfig) (*source.Generation, error) {
	g, err := s.number(n)
	if err != nil {
		return nil, err
	}
	if why := whyUnused(configs, g); why != "" {
		return nil, console.UsageError(why, "nothing was committed: its files may be forged. Push a folder whose content you know, or see who has written it: mtlsguard-fleet show "+formatNumber(g.Manifest.Number))
	}
	if g, err = g.Fetch(s.ctx); err != nil {
		return nil, s.error(err)
	}
	return g, nil
}

// checked adds a hint to an error of the store, and rejects a generation of another fleet.
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
