// Package source holds the configuration that many nodes share. A generation is a set of files
// with a signed manifest: its number, its parent, its author, and the name, size and SHA-256 of
// each file. A Source brings generations to nodes, and a Store also takes new ones from editors.
//
// A node follows a source if mtlsguard.yaml has a block source; see docs/fleet.md. Folder and
// HTTPS are the sources of this package; stores in databases are modules of their own. Package
// sourcetest checks a store.
package source

import (
	"context"
	"errors"
	"time"
)

// Source brings generations to nodes: a store, a folder or a web server. It is safe for
// concurrent use. It checks no signatures: nodes check them, with Signers.
type Source interface {
	// Load returns the newest generation. have is the generation of the caller, or nil. If
	// the newest is the same, Load returns have itself, and reads nothing else. Load does not
	// read the files of a generation: the function that it gives to New or Decode does, when the
	// caller has checked number and signature. The error is ErrNone if there is no generation.
	Load(ctx context.Context, have *Generation) (*Generation, error)
	// Watch waits until there may be a generation other than have, which may be nil. It first
	// begins to listen and then reads the newest, so that no commit is missed: it returns nil at
	// once if the newest is already another one. It may return nil without a change. An error means
	// that the source does not answer now; when ctx ends, it is the error of ctx. It returns
	// ErrUnsupported if the source cannot watch. A watch is only a hint: the caller also calls Load
	// from time to time.
	Watch(ctx context.Context, have *Generation) error
}

// Store is a Source that takes new generations. It holds the generations of one fleet.
type Store interface {
	Source
	// Commit adds a generation as the newest, with its files and signatures. It returns
	// ErrConflict if the newest is not the parent of g (see Generation.Follows): of two editors,
	// one wins. It reads files with Generation.Open, which checks them, and uses a blob only when all
	// of it was read without an error. After ErrConflict and after an error of a file, no part of g is
	// visible. After another error, such as one of the network, it is there as a whole or not at
	// all: Load shows it.
	Commit(ctx context.Context, g *Generation) error
	// History returns up to n manifests with numbers below before, newest first. before 0 begins
	// at the newest. It returns none after the last one that the store still has.
	History(ctx context.Context, before uint64, n int) ([]Manifest, error)
	// At returns the generation of a number, as Load does. The error is ErrNone if the store does
	// not have it, or not any more.
	At(ctx context.Context, number uint64) (*Generation, error)
	// PutReport replaces the report of the node that r names. The error is ErrUnsupported if the store keeps no
	// reports.
	PutReport(ctx context.Context, r Report) error
	// Reports returns the last report of each node, sorted by name. The error is ErrUnsupported
	// if the store keeps no reports.
	Reports(ctx context.Context) ([]Report, error)
}

// ErrNone is returned if a generation does not exist.
var ErrNone = errors.New("there is no generation")

// ErrConflict is returned by Commit if another generation was committed before.
var ErrConflict = errors.New("another generation was committed before")

// ErrUnsupported is returned for what a source or store cannot do.
var ErrUnsupported = errors.New("the source does not support this")

// Report is a node's report about itself: which generation is in effect there, and which one
// it refused.
type Report struct {
	Node    string    `json:"node"`             // name of the node
	Number  uint64    `json:"number"`           // of the generation in effect; 0: none
	Digest  Digest    `json:"digest,omitzero"`  // of the manifest of that generation
	Since   time.Time `json:"since,omitzero"`   // when it took effect
	At      time.Time `json:"at"`               // when the report was written, by the clock of the node
	Refused uint64    `json:"refused,omitzero"` // number of the newest generation, if the node refused it
	// Errors are the reasons, with file and line. A node reports at most 20, of 500 bytes each.
	Errors []string `json:"errors,omitempty"`
}
