// Command grpc serves gRPC behind a guard, and calls it. Run it in this folder:
//
//	go run . handler         the grpc.Server is an http.Handler
//	go run . transport       it has grpc's own transport
//	go run . call alice Check
//	go run . call bob Watch
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/mtlsguard/mtlsguard"
	guardgrpc "github.com/mtlsguard/mtlsguard/rpc/grpc"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, slog.LevelInfo)}, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, options mtlsguard.Options, out io.Writer) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "handler":
		return serveHandler(ctx, options)
	case len(arguments) == 1 && arguments[0] == "transport":
		return serveTransport(ctx, options)
	case len(arguments) == 3 && arguments[0] == "call":
		return call(ctx, "127.0.0.1:8443", arguments[1], arguments[2], out)
	}
	return errors.New("usage: grpc handler | transport | call USER Check|Watch")
}

// serveHandler serves gRPC as a handler: ports, draining and limits are those of net/http.
func serveHandler(ctx context.Context, options mtlsguard.Options) error {
	server, err := mtlsguard.Open("config/mtlsguard.yaml", options)
	if err != nil {
		return err
	}
	return server.Serve(ctx, register(grpc.NewServer()))
}

// serveTransport serves gRPC on its own transport: draining, keepalive and the age of
// connections are those of grpc.
func serveTransport(ctx context.Context, options mtlsguard.Options) error {
	server, err := mtlsguard.Open("config/mtlsguard.yaml", options)
	if err != nil {
		return err
	}
	port := server.Ports()[0]
	services := register(grpc.NewServer(guardgrpc.ServerOptions(server.Guard(), guardgrpc.Credentials(port))...))
	listener, err := port.Listen(ctx)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- services.Serve(listener) }()
	err = server.Run(ctx) // watches the files until ctx ends
	hard := time.AfterFunc(port.Config().Limits.Drain, services.Stop)
	defer hard.Stop()
	services.GracefulStop()
	return errors.Join(err, <-served)
}

// register registers the service, and reflection for grpcurl.
func register(server *grpc.Server) *grpc.Server {
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	reflection.Register(server)
	return server
}
