// Package mapresult has the values of certmap.Step.Result, for the packages of this module
// that act on them.
package mapresult

// Results of a mapping in an explanation.
const (
	Matches     = "matches"      // valid, and of the kind that decides
	Outranked   = "outranked"    // matches, but a kind before it decides
	Disabled    = "disabled"     // matches, and the certificate is refused
	OutOfTime   = "out of time"  // the same, because of the mapping's dates
	OtherPort   = "other port"   // would match on another port, and is ignored on this one
	OtherIssuer = "other issuer" // would match under another CA, and is ignored under this one
	NearMiss    = "near miss"    // does not match because of a small difference
	Differs     = "differs"      // does not match
	Rest        = "rest"         // stands for the mappings that are not listed
)
