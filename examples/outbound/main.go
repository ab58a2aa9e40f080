// Command outbound runs a service that calls a partner with the client certificate that
// each request names, and a partner that answers with the name in that certificate.
//
//	go run ./examples/outbound
//
// It prints curl lines, then "ready". SIGINT and SIGTERM end it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit statuses.
const (
	exitOK      = 0
	exitFailed  = 1 // the program could not serve
	exitInvalid = 2 // the command line has an error
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("outbound", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:8453", "`address` of the service")
	partnerAddr := flags.String("partner", "127.0.0.1:8454", "`address` of the test partner")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitInvalid
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "error: unknown argument %q\nhint: -h shows the flags\n", flags.Arg(0))
		return exitInvalid
	}
	if err := serve(ctx, *listen, *partnerAddr, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "error: %v\nhint: another program may have the address; -listen and -partner set other addresses\n", err)
		return exitFailed
	}
	return exitOK
}

// serve runs the partner and the service until ctx ends.
func serve(ctx context.Context, listen, partnerAddr string, stdout, stderr io.Writer) error {
	port, err := partnerPort(partnerAddr)
	if err != nil {
		return err
	}
	transport, err := newTransport(stderr)
	if err != nil {
		return err
	}
	defer transport.Close()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	ready := make(chan struct{})
	go func() {
		partner := ports.Server{Handler: partner(), Ports: []*ports.Port{port}, Ready: func() { close(ready) }}
		ended <- partner.Serve(ctx)
	}()
	service := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	select {
	case <-ready:
		service.Handler = newService(transport, "https://"+port.Addr().String())
		go func() { ended <- ignoreClosed(service.Serve(listener)) }()
		for _, as := range []string{"a", "b", "c", "nobody", "d"} {
			fmt.Fprintf(stdout, "curl -sS 'http://%s/call?as=%s'\n", listener.Addr(), as)
		}
		fmt.Fprintf(stdout, "curl -sS 'http://%s/call'\n", listener.Addr())
		fmt.Fprintln(stdout, "ready")
	case err := <-ended:
		listener.Close()
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	cancel()
	drain, done := context.WithTimeout(context.Background(), 5*time.Second)
	defer done()
	return errors.Join(err, service.Shutdown(drain), <-ended)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
