// Package connstate has the types of what one package caches with a connection for
// another.
package connstate

import "sync/atomic"

// Caller caches what a policy looked up about the user of a connection. The guard keeps
// one with each connection and passes it to the policy, which alone knows its content
// and checks that it is current. The zero value is empty. A Caller is safe for
// concurrent use and must not be copied.
type Caller struct{ value atomic.Value }

// Load returns the last value that Store was given. It is nil without any.
func (c *Caller) Load() any { return c.value.Load() }

// Store replaces the value. All values of one Caller must have the same type.
func (c *Caller) Store(value any) { c.value.Store(value) }
