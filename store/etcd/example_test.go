package etcdstore_test

import (
	"context"
	"crypto/tls"
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
