package etcdstore_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"net/http"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

// A server gets users, policy and trust from etcd, to which it shows a certificate of its own. Its mtlsguard.yaml has a block
// source.
func Example() {
	certificate, err := tls.LoadX509KeyPair("node-1.pem", "node-1-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	store, err := etcdstore.Open(etcdstore.Config{Fleet: "orders", Client: clientv3.Config{
		Endpoints: []string{"https://etcd-1.acme.example:2379", "https://etcd-2.acme.example:2379", "https://etcd-3.acme.example:2379"},
		TLS:       &tls.Config{Certificates: []tls.Certificate{certificate}},
	}})
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

// Open reports errors in the configuration, and connects to nothing yet.
func ExampleOpen() {
	for _, fleet := range []string{"orders", "orders/eu"} {
		store, err := etcdstore.Open(etcdstore.Config{Fleet: fleet, Client: clientv3.Config{Endpoints: []string{"https://etcd.acme.example:2379"}}})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("open")
		store.Close()
	}
	// Output:
	// open
	// the fleet "orders/eu" cannot be part of a key: use at most 128 letters, digits, ., - and _
}
