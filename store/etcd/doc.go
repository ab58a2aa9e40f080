// Package etcdstore keeps the generations of a fleet in etcd 3.5 or later.
//
//	store, err := etcdstore.Open(etcdstore.Config{Fleet: "orders", Client: clientv3.Config{Endpoints: []string{"https://etcd.acme.example:2379"}, TLS: settings}})
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Source: store})
//
// The keys are below /mtlsguard/FLEET/: head is the newest manifest with its signatures, gen/NUMBER
// each one, blob/SHA256/PART the files in parts of 256 KiB, and node/NAME the reports of nodes. A
// commit writes files first, and then head and gen/NUMBER in one transaction, on the condition that
// head has not changed: so it is there as a whole or not at all, and only one of two editors can
// commit.
//
// Nodes watch head from the revision after the one that they have read. In each heartbeat they read it
// again, and replace a connection that does not answer.
package etcdstore
