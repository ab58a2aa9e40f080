// Package guardgrpc puts a guard in front of a grpc.Server on grpc's own transport.
//
//	port, err := ports.New(ports.Config{Name: "internal", Addr: "127.0.0.1:8443", ClientAuth: ports.Require, …})
//	server := grpc.NewServer(guardgrpc.ServerOptions(guard, guardgrpc.Credentials(port))...)
//	listener, err := port.Listen(ctx)
//	err = server.Serve(listener)
//
// The port does the handshakes, within its limits, and verifies the certificates. Every call,
// unary or with streams, passes the guard as a request with the method POST and the path
// /package.Service/Method: the same mappings, rules, log lines and metrics as for HTTP. Handlers
// find the caller with identity.FromContext. A refusal has the code PermissionDenied,
// Unauthenticated, or another that fits its HTTP status, with the title, the reason and the
// reference as its message.
//
// A stream ends as soon as a new call of its kind would be refused: when the certificate
// expires or is revoked, when the mapping changes, and when the guard is reconfigured with
// rules that do not allow it any more. A unary call ends with its connection, if the certificate
// is not trusted any more.
//
// The two parts need each other. A server with the credentials alone, or with the options and
// other credentials, refuses every call, and logs why.
//
// A grpc.Server is also an http.Handler, which needs nothing of this package: see docs/grpc.md
// for what each way can do.
package guardgrpc
