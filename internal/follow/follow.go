// Package follow keeps a node at the newest generation of its source: it watches and polls, checks
// number, parent and signature, keeps the files on disk, and puts the generation into effect. A
// generation that cannot be put into effect is refused, and not tried again until something
// changes.
package follow

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// Config configures a Follower. All fields are required, except for OnEvent.
type Config struct {
	Source source.Source
	Keep   *source.Keep
	// Check returns why a generation may not be used: its signature, or its fleet.
	Check func(*source.Generation) error
	// Apply puts a generation into effect, or returns an error and leaves everything as it is.
	// retry is when it may succeed although nothing changes; zero is never.
	Apply func(context.Context, *source.Generation) (retry time.Time, err error)
	// OnEvent is called when something happens that people should know. It must not block.
	OnEvent func(Event)
	Node    string               // for reports
	Poll    func() time.Duration // between two polls
	Now     func() time.Time     // the clock of certificates
	Lines   func(error) []string // the errors of a refused generation, for people
}

// Event is a change of the state of a Follower.
type Event struct {
	Kind       Kind
	Generation *source.Generation // nil: of the source
	Err        error
}

// Kind is what happened.
type Kind int

// Applied: a generation is in effect. Refused: it is not, and Err has the cause. Unreachable: the source does
// not answer, and Err has the cause. Reachable: it answers again. NotHeard: it answers, and announces no
// changes. NotKept: a generation cannot be written to the disk of the node, or its files cannot be read from
// the source.
const (
	Applied Kind = iota
	Refused
	Unreachable
	Reachable
	NotHeard
	NotKept
)

// Follower follows a source. Start is called first, and then Lock, and Run in a goroutine. State and Retry are
// safe for concurrent use.
type Follower struct {
	config Config

	// Only Start and Run use these.
	seen    *source.Generation // the newest that was looked at, in effect or not
	kept    bool               // the generation in effect is the current one on disk
	retryAt time.Time          // when the refused one may be in order; zero: never
	least   uint64             // the highest number that was kept at the start: an older one is a step back
	last    *source.Generation // the newest that was kept at the start and may be used; nil: none

	asking      chan answer  // of a Load that has not ended; nil: none
	watching    chan watched // of the watch that has not ended; nil: none
	unannounced error        // why nothing is announced

	wake      chan struct{} // Retry
	reportDue chan struct{} // report
	changed   atomic.Bool   // something that the last report does not have

	mu    sync.Mutex // guards state
	state State
}

// State is the state of a Follower.
type State struct {
	InEffect  *source.Generation // with its files on disk; nil before Start
	Since     time.Time          // when it took effect
	Heard     time.Time          // when the source answered last; zero: never
	Connected bool               // the last answer was no error
	Err       error              // why the source does not answer, or its generation is not used; nil: nothing is wrong
	Refused   *source.Generation // the newest, if it was refused
	RefusedBy error              // why
}

// New returns a Follower.
func New(c Config) *Follower {
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return &Follower{config: c, wake: make(chan struct{}, 1), reportDue: make(chan struct{}, 1)}
}

// Lock keeps other processes from writing to the folder keep: of two that follow a source with one folder,
// one would remove what the other has just written. The caller calls unlock when Run has ended.
func (f *Follower) Lock() (unlock func(), err error) { return f.config.Keep.Lock() }

// State returns the state.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// change changes the state.
func (f *Follower) change(change func(*State)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.state)
}

// Retry signals that something on the node has changed: a refused generation is tried again.
func (f *Follower) Retry() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// loadTimeout bounds the wait for a manifest.
const loadTimeout = 10 * time.Second

// load loads the newest generation of the source, and records whether it answered.
func (f *Follower) load(ctx context.Context) (*source.Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	g, err := f.loadNewest(ctx)
	if now := f.State().InEffect; errors.Is(err, source.ErrNone) && now != nil {
		// An empty folder does not count as an answer: it may be one that is not mounted.
		return nil, fmt.Errorf("%w in it, and generation %d of fleet %q is in effect", err, now.Manifest.Number, now.Manifest.Fleet)
	}
	if err != nil && !errors.Is(err, source.ErrNone) {
		return nil, err
	}
	f.recordAnswer()
	return g, err
}

// recordAnswer records that the source has answered.
func (f *Follower) recordAnswer() {
	var back bool
	f.change(func(s *State) {
		back = !s.Connected && s.Err != nil
		s.Heard, s.Connected = f.config.Now(), true
	})
	if back {
		f.config.OnEvent(Event{Kind: Reachable})
	}
}

// recordSilence records that the source does not answer.
func (f *Follower) recordSilence(err error) {
	var first bool
	f.change(func(s *State) {
		first = s.Connected || s.Err == nil
		s.Connected, s.Err = false, err
	})
	if first {
		f.config.OnEvent(Event{Kind: Unreachable, Err: err})
	}
}

// compare returns why g cannot follow the generation in effect, and whether it differs from it.
func (f *Follower) compare(g *source.Generation) (news bool, err error) {
	now := f.State().InEffect
	if now == nil {
		return true, nil
	}
	a, b := now.Manifest, g.Manifest
	switch {
	case g.Digest() == now.Digest():
		return !g.Same(now), nil // other signatures
	case a.Fleet != b.Fleet:
		return false, fmt.Errorf("the source has generation %d of fleet %q, and fleet %q is in effect", b.Number, b.Fleet, a.Fleet)
	case b.Number < a.Number:
		return false, fmt.Errorf("the source went back from generation %d to %d: generation %d stays in effect; commit one with a higher number", a.Number, b.Number, a.Number)
	case b.Number == a.Number:
		return false, fmt.Errorf("the source has another generation %d, by %q: the one in effect stays; commit one with a higher number", b.Number, b.Author)
	case b.Number == a.Number+1 && b.Parent != now.Digest():
		return false, fmt.Errorf("generation %d of the source does not follow generation %d in effect: its parent is another one", b.Number, a.Number)
	}
	return true, f.compareKept(g)
}

// compareKept returns why g cannot follow what was kept at the start. It may be newer than what
// is in effect.
func (f *Follower) compareKept(g *source.Generation) error {
	b := g.Manifest
	if b.Number < f.least {
		return fmt.Errorf("the source has generation %d, and generation %d was in effect here", b.Number, f.least)
	}
	if f.last == nil {
		return nil
	}
	switch a := f.last.Manifest; {
	case b.Number == a.Number && g.Digest() != f.last.Digest():
		return fmt.Errorf("the source has another generation %d, by %q, than the one that was in effect here: commit one with a higher number", b.Number, b.Author)
	case b.Number == a.Number+1 && b.Parent != f.last.Digest():
		return fmt.Errorf("generation %d of the source does not follow generation %d, which was in effect here: its parent is another one", b.Number, a.Number)
	}
	return nil
}
