// Package callershare bounds how many of a limited number of places one caller holds.
package callershare

// Default is the percentage of the places that one caller alone may hold.
const Default = 50

// MayHoldMore reports whether a caller may have one more place. It compares the caller's places
// with the free ones (a dynamic threshold): with 50 percent the caller must have fewer places
// than are free. One caller alone gets half of them, two get a third each, and however many
// callers take what they can, some places remain free. With 100 percent the free places alone
// count.
func MayHoldMore(held, free, percent int) bool { return held*(100-percent) < free*percent }
