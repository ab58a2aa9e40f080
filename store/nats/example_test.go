package natsstore_test

import (
	"context"
	"fmt"
	"log"
	"net/http"

	"github.com/nats-io/nats.go"

	"github.com/mtlsguard/mtlsguard"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// A server gets users, policy and trust from NATS. Its mtlsguard.yaml has a block source.
func Example() {
	store, err := natsstore.Open(natsstore.Config{
		URL:     "tls://nats-1.acme.example,tls://nats-2.acme.example,tls://nats-3.acme.example",
		Fleet:   "orders",
		Options: []nats.Option{nats.UserCredentials("node.creds"), nats.RootCAs("nats-ca.pem")},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Source: store})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(context.Background(), http.NotFoundHandler()))
}

// Open reports errors in the configuration. A server that cannot be reached is no error: the store
// connects in the background.
func ExampleOpen() {
	for _, fleet := range []string{"orders", "orders/eu"} {
		store, err := natsstore.Open(natsstore.Config{URL: "nats://127.0.0.1:1", Fleet: fleet})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("open")
		store.Close()
	}
	// Output:
	// open
	// the fleet "orders/eu" cannot be the name of a NATS bucket: use at most 128 letters, digits, - and _
}
