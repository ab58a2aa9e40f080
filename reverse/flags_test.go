package reverse_test

import "flag"

// full runs the tests in the size that the documentation promises. Without it they take
// seconds.
var full = flag.Bool("soak", false, "run the heavy proofs at full size")
