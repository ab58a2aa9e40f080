package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const pki = "../../testdata/pki/"

// call calls a method of the health service with a user's certificate.
func call(ctx context.Context, addr, user, method string, out io.Writer) error {
	own, err := tls.LoadX509KeyPair(pki+user+".pem", pki+user+"-key.pem")
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(pki + "server-ca.pem")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: roots, ServerName: "localhost", Certificates: []tls.Certificate{own},
	})))
	if err != nil {
		return err
	}
	defer cc.Close()
	client := grpc_health_v1.NewHealthClient(cc)
	if method == "Check" {
		res, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err == nil {
			fmt.Fprintln(out, res.Status)
		}
		return err
	}
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	for err == nil { // until the server ends the stream
		var res *grpc_health_v1.HealthCheckResponse
		if res, err = stream.Recv(); err == nil {
			fmt.Fprintln(out, res.Status)
		}
	}
	return err
}
