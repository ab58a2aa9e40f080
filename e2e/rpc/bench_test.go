package rpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// BenchmarkUnary compares a call behind the guard, in both ways of serving, with one of grpc alone.
func BenchmarkUnary(b *testing.B) {
	for _, way := range []struct {
		name  string
		serve func(*site, testing.TB) string
	}{
		{"handler", func(s *site, tb testing.TB) string { s.serveHTTP(tb); return s.port.Addr().String() }},
		{"transport", func(s *site, tb testing.TB) string { s.serveGRPC(tb); return s.port.Addr().String() }},
		{"grpc alone", func(s *site, tb testing.TB) string {
			own := s.serverCA.Server().TLS()
			server := register(grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&own))))
			l := must[net.Listener](tb)(net.Listen("tcp", "127.0.0.1:0"))
			go server.Serve(l)
			tb.Cleanup(server.Stop)
			return l.Addr().String()
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			s := newSite(b)
			cc := must[*grpc.ClientConn](b)(grpc.NewClient("passthrough:///"+way.serve(s, b), grpc.WithTransportCredentials(credentials.NewTLS(s.tls("alice")))))
			defer cc.Close()
			client := grpc_health_v1.NewHealthClient(cc)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
