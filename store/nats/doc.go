// Package natsstore keeps the generations of a fleet in NATS JetStream (nats-server 2.10 or later).
//
//	store, err := natsstore.Open(natsstore.Config{URL: "nats://nats.acme.example", Fleet: "orders"})
//	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Source: store})
//
// The manifests are in the key-value bucket mtlsguard_FLEET: the newest under head, and each one
// that was the newest under gen.NUMBER. The files are in mtlsguard-blobs_FLEET, in parts of 256 KiB
// by SHA-256, and the reports of nodes in mtlsguard-nodes_FLEET. The first commit creates the
// buckets. A commit writes files first and then the key head, on the condition that it has not
// changed: so it is there as a whole or not at all, and only one of two editors can commit.
//
// The server publishes a message on mtlsguard.FLEET.head when head has changed. Nodes listen to
// it with plain subscriptions: there are no consumers on the server that could be left behind. After each
// reconnection, and in each heartbeat, they read head.
package natsstore
