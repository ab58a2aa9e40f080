package storeflag_test

import (
	"context"
	"fmt"

	"github.com/mtlsguard/mtlsguard/fleet/storeflag"
)

// A URL with a password is accepted from the environment only: every user of the machine can read
// the command line.
func ExampleFlags_Open() {
	for _, url := range []string{".", "ftp://store.acme.example", "postgres://anna:secret@db.acme.example/fleet"} {
		flags := storeflag.Flags{Store: url}
		_, end, err := flags.Open(context.Background(), "orders")
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("a folder")
		end()
	}
	// Output:
	// a folder
	// --store: "ftp" is not the scheme of a store (--store with the name of a folder, or a URL with etcd:, etcds:, file:, nats:, postgres:, postgresql:, tls:)
	// --store: the URL has a password, which every user of this machine can read in the list of processes (put the URL into the environment variable MTLSGUARD_STORE, and leave --store out)
}
