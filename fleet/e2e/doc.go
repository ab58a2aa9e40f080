// Package e2e has the tests of the command mtlsguard-fleet with real databases. It is a module of its own,
// because the servers of NATS and etcd are large.
package e2e
