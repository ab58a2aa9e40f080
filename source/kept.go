package source

import (
	"context"
	"fmt"
)

// Kept returns a source without generations: a Server uses the generations in its folder keep, and
// connects to no store. It is for commands that read the configuration of a node as its server
// does. With it, mtlsguard.yaml may have a block source or not.
func Kept() Source { return kept{} }

type kept struct{}

// Load returns ErrUnsupported.
func (kept) Load(context.Context, *Generation) (*Generation, error) {
	return nil, fmt.Errorf("only what is in keep is read: %w", ErrUnsupported)
}

// Watch returns ErrUnsupported.
func (kept) Watch(context.Context, *Generation) error { return ErrUnsupported }
