// Package mtlsguardtest tests programs that use mtlsguard: with real ports and real
// certificates, without a port, and without a request.
//
//	func TestOrders(t *testing.T) {
//		server := mtlsguardtest.NewServer(t, newRouter(), mtlsguardtest.WithPolicy("p, user:alice, *, GET, /orders/*, allow\n"))
//		res, err := server.Client("alice").Get(server.URL + "/orders/7") // 200
//		res, err = server.Client("bob").Get(server.URL + "/orders/7")    // 403
//		res, err = server.Expired().Get(server.URL + "/orders/7")        // an error: the handshake fails
//	}
//
// NewServer opens and serves a configuration as a program does, with mtlsguard.OpenFS and
// Server.Serve. Its certificates are made on the spot, in a few milliseconds, and no port trusts
// them when the test is over. Request makes a request with an identity, for tests of handlers
// alone. Policy compares a policy with a table of decisions.
//
// A wrong call ends the test with a sentence that explains how to correct it. Call the functions
// from the goroutine of a test, as testing.T.FailNow requires. Outside of tests they panic.
package mtlsguardtest

import "testing"

// requireTest panics in a program that is not a test: identities and certificates of this
// package prove nothing.
func requireTest() {
	if !testing.Testing() {
		panic("mtlsguardtest: this program is not a test")
	}
}
