package outbound

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	connectTimeout  = time.Minute // for a proxy's answer to CONNECT
	maxConnectBytes = 64 << 10    // of the answer's header
)

// dialThrough connects to a server, through the pool's proxy if there is one. It returns the
// connection for TLS with the server, and the tracked connection underneath.
//
// The tunnels of net/http are not used: net/http presents the client certificate to a proxy
// with TLS as well.
func (p *pool) dialThrough(ctx context.Context, network, addr string) (net.Conn, *conn, error) {
	if p.proxy == nil {
		tracked, err := p.dial(ctx, network, addr)
		return tracked, tracked, err
	}
	fail := func(err error) error { return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err} }
	at := originOf(p.proxy)
	tracked, err := p.dial(ctx, network, net.JoinHostPort(at.host, at.port))
	if err != nil {
		return nil, nil, fail(err)
	}
	var conn net.Conn = tracked
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if equalFold(at.scheme, "https") {
		config := p.tls.Clone() // holds no certificate
		config.ServerName, config.NextProtos = at.host, nil
		secured, err := p.handshake(ctx, conn, config, func(_ tls.ConnectionState, err error) error { return err })
		if err != nil {
			return nil, nil, fail(err)
		}
		conn = secured
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	err = p.connect(ctx, conn, addr)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, nil, fail(err)
	}
	return conn, tracked, nil
}

// connect requests a tunnel from the proxy (RFC 9110 section 9.3.6).
func (p *pool) connect(ctx context.Context, conn net.Conn, addr string) error {
	header := p.base.ProxyConnectHeader.Clone()
	if p.base.GetProxyConnectHeader != nil {
		own, err := p.base.GetProxyConnectHeader(withoutChoice(ctx), p.proxy, addr)
		if err != nil {
			return err
		}
		header = own.Clone()
	}
	if header == nil {
		header = http.Header{}
	}
	if user := p.proxy.User; user != nil && header.Get("Proxy-Authorization") == "" {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: header}
	if err := request.Write(conn); err != nil {
		return err
	}
	in := bufio.NewReader(io.LimitReader(conn, maxConnectBytes))
	response, err := http.ReadResponse(in, request)
	if err != nil {
		return err
	}
	if p.base.OnProxyConnectResponse != nil {
		if err := p.base.OnProxyConnectResponse(withoutChoice(ctx), p.proxy, request, response); err != nil {
			return err
		}
	}
	switch {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the proxy answered %d", response.StatusCode)
	case in.Buffered() > 0:
		return errors.New("the proxy sent bytes before the server could") // in TLS the server waits for the client
	}
	return nil
}

// proxyFor returns the proxy for a request over https, or nil.
func (t *Transport) proxyFor(r *http.Request) (*url.URL, error) {
	if t.base.Proxy == nil {
		return nil, nil
	}
	proxy, err := t.base.Proxy(r)
	switch {
	case err != nil || proxy == nil:
		return nil, err
	case !equalFold(proxy.Scheme, "http") && !equalFold(proxy.Scheme, "https"):
		return nil, fmt.Errorf("a proxy with the scheme %q is not supported: use http, https, or Base.DialContext", proxy.Scheme)
	case proxy.Hostname() == "":
		return nil, errors.New("the proxy has no host")
	}
	return proxy, nil
}
