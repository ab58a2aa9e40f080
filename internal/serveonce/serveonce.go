// Package serveonce sends one request through net/http's server, so that explain reads a request
// exactly as a port does.
package serveonce

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Request is what a client sends.
type Request struct {
	Method, Path, Host string
	ServerName         string // of the TLS connection
	Header             http.Header
}

// Do sends a request through an http.Server with the port's configuration, calls handle with
// it, and returns the status of the answer. The request comes through a pipe. To the guard it
// comes from the connection of conn.
func Do(ctx context.Context, p *ports.Port, conn context.Context, q Request, handle func(*http.Request)) (int, error) {
	inner, outer := net.Pipe()
	defer outer.Close()
	stop := context.AfterFunc(ctx, func() { outer.Close() })
	defer stop()
	srv := &http.Server{
		ErrorLog:    log.New(io.Discard, "", 0),
		ConnContext: func(context.Context, net.Conn) context.Context { return conn },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, ServerName: q.ServerName}
			handle(r)
			w.WriteHeader(http.StatusNoContent)
		}),
	}
	if err := p.Configure(srv); err != nil {
		return 0, err
	}
	l := chanlisten.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l)
	}()
	defer func() {
		srv.Close()
		outer.Close()
		<-served
	}()
	if err := l.Hand(ctx, inner); err != nil {
		return 0, err
	}

	var request bytes.Buffer
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Path, q.Host)
	_ = q.Header.WriteSubset(&request, map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true})
	request.WriteString("\r\n")
	go func() { _, _ = request.WriteTo(outer) }() // net/http may answer before it has read everything
	response, err := http.ReadResponse(bufio.NewReader(outer), nil)
	if err != nil {
		return 0, fmt.Errorf("mtlsguard: net/http did not answer the request: %w", err)
	}
	return response.StatusCode, nil
}
