package guardgrpc_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/mtlsguard/mtlsguard"
	guardgrpc "github.com/mtlsguard/mtlsguard/rpc/grpc"
)

// The ports and the guard of a configuration file, in front of a grpc.Server.
func ExampleServerOptions() {
	server, err := mtlsguard.Open("../../examples/grpc/config/mtlsguard.yaml", mtlsguard.Options{
		Listen: func(context.Context, string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }, // the file's port may be in use
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go server.Run(ctx) // watches the files

	port := server.Ports()[0]
	services := grpc.NewServer(guardgrpc.ServerOptions(server.Guard(), guardgrpc.Credentials(port))...)
	grpc_health_v1.RegisterHealthServer(services, health.NewServer())
	listener, err := port.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	go services.Serve(listener)
	defer services.Stop()

	client := grpc_health_v1.NewHealthClient(connect(port.Addr().String(), "alice"))
	res, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	fmt.Println(res.GetStatus(), err)
	// Output: SERVING <nil>
}

// connect returns a client with a test certificate.
func connect(addr, user string) *grpc.ClientConn {
	const pki = "../../testdata/pki/"
	own, err := tls.LoadX509KeyPair(pki+user+".pem", pki+user+"-key.pem")
	if err != nil {
		log.Fatal(err)
	}
	ca, err := os.ReadFile(pki + "server-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{own},
	})))
	if err != nil {
		log.Fatal(err)
	}
	return cc
}
