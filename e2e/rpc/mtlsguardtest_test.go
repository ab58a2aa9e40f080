package rpc_test

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	guardgrpc "github.com/mtlsguard/mtlsguard/rpc/grpc"
)

// Tests of services of gRPC use mtlsguardtest in both ways of serving.
func TestServicesOfGRPCAreTestedWithMtlsguardtest(t *testing.T) {
	t.Parallel()
	policy := mtlsguardtest.WithPolicy("p, user:alice, *, POST, /grpc.health.v1.Health/Check, allow\n")
	for name, server := range map[string]*mtlsguardtest.Server{
		"handler":   mtlsguardtest.NewServer(t, register(grpc.NewServer()), policy),
		"transport": mtlsguardtest.NewServer(t, nil, policy, mtlsguardtest.WithServe(serveTransport)),
	} {
		for user, want := range map[string]codes.Code{"alice": codes.OK, "bob": codes.PermissionDenied} {
			cc, err := grpc.NewClient("passthrough:///"+server.Server.Ports()[0].Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(server.TLSConfig(user))))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			if _, err := grpc_health_v1.NewHealthClient(cc).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); status.Code(err) != want {
				t.Errorf("%s, %s: %v, want %s", name, user, err, want)
			}
		}
	}
}

// serveTransport serves gRPC on its own transport, as docs/grpc.md shows.
func serveTransport(ctx context.Context, server *mtlsguard.Server) error {
	port := server.Ports()[0]
	services := register(grpc.NewServer(guardgrpc.ServerOptions(server.Guard(), guardgrpc.Credentials(port))...))
	listener, err := port.Listen(ctx)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- services.Serve(listener) }()
	err = server.Run(ctx)
	services.Stop()
	return errors.Join(err, <-served)
}
