package source

import "time"

// SetStallTimeout sets the time without a byte after which a blob is given up.
func SetStallTimeout(d time.Duration) { stallTimeout = d }

// OnStep calls f between the steps of writing to a disk.
func OnStep(f func(step string)) { reached = f }

// ReadReport decodes a report of a folder.
var ReadReport = readReport

// PutBack gives a file that Prune has moved away its name again.
var PutBack = putBack

// Limits and errors for tests.
const (
	MaxFile  = maxFile
	MaxFiles = maxFiles
)

var ErrSigner = errSigner
