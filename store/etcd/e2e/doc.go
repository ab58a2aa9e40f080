// Package e2e tests the store in etcd against a real etcd. It is a module of its own: users of the store do
// not get the server, and the 58 modules that it links, into their module graph.
package e2e
