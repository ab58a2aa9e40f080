//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load runs one scenario against a server for a time, and returns the answers a second and
// their number.
func (w *world) load(scenario, addr string, d time.Duration) (perSecond float64, count int64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var work func(ctx context.Context, count *atomic.Int64) error
	workers := 16
	switch scenario {
	case "h1":
		work = func(ctx context.Context, n *atomic.Int64) error { return w.keepAlive(ctx, addr, n) }
	case "h2":
		workers = 4
		work = func(ctx context.Context, n *atomic.Int64) error { return w.streams(ctx, addr, 16, n) }
	case "full":
		workers = 4
		work = func(ctx context.Context, n *atomic.Int64) error { return w.handshakes(ctx, addr, nil, n) }
	case "resumed":
		workers = 4
		work = func(ctx context.Context, n *atomic.Int64) error {
			return w.handshakes(ctx, addr, tls.NewLRUClientSessionCache(1), n)
		}
	default:
		return 0, 0, fmt.Errorf("-scenarios: %q is not a scenario", scenario)
	}
	var answers atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, workers)
	start := time.Now()
	for range workers {
		all.Go(func() {
			if err := work(ctx, &answers); err != nil && ctx.Err() == nil && !isTimeout(err) {
				failed <- err
				cancel()
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	select {
	case err := <-failed:
		return 0, 0, err
	default:
		return float64(answers.Load()) / took.Seconds(), answers.Load(), nil
	}
}

// isTimeout reports whether an error is a timeout, which ends a measurement before its
// context does.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// dial opens a connection that ends with ctx.
func (w *world) dial(ctx context.Context, addr, proto string, cache tls.ClientSessionCache) (*tls.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{
		RootCAs: w.roots, ServerName: "localhost", NextProtos: []string{proto}, ClientSessionCache: cache,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &w.client, nil },
	}}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { c.SetDeadline(time.Now()) })
	return c.(*tls.Conn), nil
}

const request = "GET /orders/7 HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"

// keepAlive sends one request after another over one connection.
func (w *world) keepAlive(ctx context.Context, addr string, n *atomic.Int64) error {
	c, err := w.dial(ctx, addr, "http/1.1", nil)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for ctx.Err() == nil {
		if err := exchange(c, r); err != nil {
			return err
		}
		n.Add(1)
	}
	return nil
}

func exchange(c io.Writer, r *bufio.Reader) error {
	if _, err := io.WriteString(c, request); err != nil {
		return err
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "HTTP/1.1 200") {
		return errors.New("the answer is " + strings.TrimSpace(line))
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := strings.Cut(string(line), ":"); strings.EqualFold(name, "content-length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
	}
	_, err = r.Discard(length)
	return err
}

// handshakes opens a connection for every request. With a cache every connection but the
// first resumes.
func (w *world) handshakes(ctx context.Context, addr string, cache tls.ClientSessionCache, n *atomic.Int64) error {
	for first := true; ctx.Err() == nil; first = false {
		c, err := w.dial(ctx, addr, "http/1.1", cache)
		if err != nil {
			return err
		}
		err = exchange(c, bufio.NewReader(c))
		resumed := c.ConnectionState().DidResume
		if tcp, ok := c.NetConn().(*net.TCPConn); ok {
			tcp.SetLinger(0) // a reset leaves no port in TIME_WAIT
		}
		c.NetConn().Close()
		if err != nil {
			return err
		}
		if !first && resumed != (cache != nil) {
			return fmt.Errorf("the connection resumed: %v", resumed)
		}
		n.Add(1)
	}
	return nil
}
