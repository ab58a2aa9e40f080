// Package e2e tests the store in NATS against a real nats-server. It is a module of its own: users of the store do
// not get the server into their module graph.
package e2e
