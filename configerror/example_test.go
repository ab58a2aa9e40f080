package configerror_test

import (
	"errors"
	"fmt"

	"github.com/mtlsguard/mtlsguard/configerror"
)

func ExampleAll() {
	err := fmt.Errorf("reload: %w", errors.Join(
		&configerror.Error{File: "policy.csv", Line: 3, What: `the effect "alow" is neither allow nor deny`, Hint: "write allow or deny"},
		&configerror.Error{What: "Config.Map is nil"},
	))
	for _, e := range configerror.All(err) {
		fmt.Printf("%q: %s\n", e.Position(), e.What)
	}
	// Output:
	// "policy.csv:3": the effect "alow" is neither allow nor deny
	// "": Config.Map is nil
}
