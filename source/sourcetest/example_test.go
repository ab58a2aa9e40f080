package sourcetest_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

// A test commits a generation to a store in memory, which a Server may follow.
func Example() {
	ctx := context.Background()
	store := sourcetest.NewMemory("orders")
	g, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"users.yaml": {Data: []byte("users: []\n")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(store.Commit(ctx, g), store.Commit(ctx, g))
	// Output: <nil> another generation was committed before
}
