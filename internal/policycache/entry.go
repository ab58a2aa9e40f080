// Package policycache keeps with a connection what a policy looked up about its user.
package policycache

import "sync/atomic"

// Entry is the cache of one connection. The guard passes it to the policy with each
// request; the policy alone knows its content and checks that it is current. The zero
// value is empty. An Entry is safe for concurrent use and must not be copied.
type Entry struct{ value atomic.Value }

// Load returns the value of the last Store, or nil.
func (e *Entry) Load() any { return e.value.Load() }

// Store replaces the value. All values of one Entry have the same type.
func (e *Entry) Store(value any) { e.value.Store(value) }
