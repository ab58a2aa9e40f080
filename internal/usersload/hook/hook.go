// Package hook connects package certmap with package usersload, which imports it. Nothing else
// uses this package.
package hook

import (
	"crypto/sha256"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Load implements usersload.Load. Package certmap sets it when it is initialized.
var Load any

// Check implements usersload.Check. Package certmap sets it too.
var Check func(name string, line []byte) error

// File is one file of mappings.
type File struct {
	Name   string
	Digest [sha256.Size]byte // of the content; zero: never reuse what was parsed
	// Read returns the content and its digest, which differs if the content has changed
	// meanwhile. It returns false if it has reported an error. Load calls it at most once.
	Read func() ([]byte, [sha256.Size]byte, bool)
}

// Settings are what the meaning of files depends on, besides their content.
type Settings struct {
	Ports      []string                                // a mapping for another port is an error
	AnyPort    bool                                    // Ports does not count: every name is taken
	ReadIssuer func(path string) (trust.Digest, error) // the key of an issuer that a mapping names by file; never called twice at a time
	Workers    int                                     // how many goroutines parse
	PieceSize  int                                     // the least size of what is parsed and reused of JSON lines, in bytes; 0 is the default
}
