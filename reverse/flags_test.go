package reverse_test

import "flag"

// full runs the proofs in the size that the promises name; without it they take
// seconds.
var full = flag.Bool("soak", false, "run the heavy proofs at full size")
