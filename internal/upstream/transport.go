package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

const (
	dialTimeout  = 5 * time.Second  // at most
	idleTime     = 30 * time.Second // of a connection without a request
	maxIdle      = 256              // connections without a request
	pingAfter    = 15 * time.Second // of silence on HTTP/2
	pingTimeout  = 5 * time.Second
	headerBytes  = 256 << 10 // of an answer
	continueTime = time.Second
)

// Address is where a service listens.
type Address struct {
	Host   string // HOST:PORT
	Socket string // the path of a unix socket, in place of Host
}

// base returns a transport that connects to one address, whatever the URL of a request is. No
// proxy of the environment is used, and bodies stay as they are compressed.
func base(a Address, timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: min(timeout, dialTimeout)}
	if host, _, _ := net.SplitHostPort(a.Host); strings.EqualFold(host, "localhost") {
		dialer.ControlContext = onlyLoopback
	}
	network, address := "tcp", a.Host
	if a.Socket != "" {
		network, address = "unix", a.Socket
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &conn{Conn: c}, nil
		},
		TLSHandshakeTimeout:    min(timeout, dialTimeout),
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  continueTime,
		IdleConnTimeout:        idleTime,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		MaxResponseHeaderBytes: headerBytes,
		DisableCompression:     true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

// onlyLoopback rejects an address that the name localhost must not have.
func onlyLoopback(_ context.Context, _, address string, _ syscall.RawConn) error {
	if host, _, err := net.SplitHostPort(address); err != nil || !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("localhost is %s, which is not this machine: headers could be forged there", address)
	}
	return nil
}

// Plain returns a transport without TLS: HTTP/1.1, or HTTP/2 with prior knowledge (h2c).
func Plain(a Address, h2c bool, timeout time.Duration) http.RoundTripper {
	t := base(a, timeout)
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(!h2c)
	t.Protocols.SetUnencryptedHTTP2(h2c)
	if h2c || !canKeep {
		return t
	}
	return &direct{Transport: t, settle: settleTime}
}

// alias is the name of the one credential.
const alias = "upstream"

// TLS returns a transport that verifies the service by roots and the host of the URL, and
// presents a certificate; nil presents none.
func TLS(a Address, roots *x509.CertPool, certificate *tls.Certificate, timeout time.Duration) (http.RoundTripper, error) {
	keys := &keystore.Memory{}
	if certificate != nil {
		credential, err := outbound.NewCredential(alias, *certificate)
		if err != nil {
			return nil, err
		}
		if err := keys.Put(credential); err != nil {
			return nil, err
		}
	}
	t, err := outbound.New(outbound.Config{Keystore: keys, Roots: roots, Base: base(a, timeout), MaxPools: 4})
	if err != nil {
		return nil, err
	}
	return &identified{t, certificate != nil}, nil
}

// identified chooses the credential, whatever choice the context of a request has: an embedding
// program may have made one for its own calls.
type identified struct {
	*outbound.Transport
	presents bool
}

// RoundTrip implements http.RoundTripper.
func (t *identified) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := outbound.AsNobody(r.Context())
	if t.presents {
		ctx = outbound.As(r.Context(), alias)
	}
	return t.Transport.RoundTrip(r.WithContext(ctx))
}
