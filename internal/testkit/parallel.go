package testkit

import (
	"flag"
	"strconv"
)

// AllowParallel allows n parallel tests, for TestMain of a package whose tests mostly wait: by
// default there are as many as processors. The flag -parallel counts if it is given, and so does
// the number of workers that fuzz.
func AllowParallel(n int) {
	flag.Parse()
	parallel, fuzz := flag.Lookup("test.parallel"), flag.Lookup("test.fuzz")
	if parallel.Value.String() == parallel.DefValue && fuzz.Value.String() == "" {
		_ = parallel.Value.Set(strconv.Itoa(n))
	}
}
