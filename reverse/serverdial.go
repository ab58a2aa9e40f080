package reverse

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// dial connects to a gateway, verifies its certificate, and registers.
func (s *Server) dial(ctx context.Context, addr string) (*serverTunnel, error) {
	dial := s.config.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("reverse: %w", err)
	}
	receiver := s.receiver.Load()
	var gateway trust.Verified
	own := &ownCertificate{get: s.config.Certificate}
	c := tls.Client(raw, s.tlsConfig(addr, receiver, &gateway, own))
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("reverse: %s: %w", addr, err)
	}
	buffered, err := s.register(c, addr)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("reverse: %s: %w", addr, err)
	}
	now := trustaccess.Now(receiver.GatewayTrust())
	t := &serverTunnel{
		Link: wire.NewLink(c, buffered), server: s, addr: addr, peerCertificates: c.ConnectionState().PeerCertificates,
		ready: make(chan struct{}), renewal: make(chan struct{}), removed: make(chan struct{}),
		handlers: handlerLimit{max: int64(s.config.Streams)}, certificate: own,
		renewAt: earliest(renewalTime(now, own.notAfter()), renewalTime(now, notAfterOfVerified(gateway))),
	}
	t.gateway.Store(&gateway)
	trustaccess.Remember(receiver.GatewayTrust(), gateway) // the handshake has proved that the gateway has the key
	return t, nil
}

// tlsConfig returns a new configuration for each connection: no session is resumed, and
// every gateway is verified by the current trust. There is no fallback without TLS, and the
// only trust anchors are those for gateways.
func (s *Server) tlsConfig(addr string, receiver *forwarded.Receiver, gateway *trust.Verified, own *ownCertificate) *tls.Config {
	roots := x509.NewCertPool()
	for _, a := range receiver.GatewayTrust().Anchors() {
		roots.AddCert(a)
	}
	name := s.config.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(addr)
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              roots,
		ServerName:           name,
		Time:                 func() time.Time { return trustaccess.Now(receiver.GatewayTrust()) },
		NextProtos:           []string{"http/1.1"},
		GetClientCertificate: own.present,
		VerifyConnection: func(cs tls.ConnectionState) error {
			var err error
			*gateway, err = verifyGateway(receiver, cs.PeerCertificates)
			return err
		},
	}
}

// verifyGateway verifies the certificate of a gateway, and its name or fingerprint.
func verifyGateway(receiver *forwarded.Receiver, chain []*x509.Certificate) (trust.Verified, error) {
	v, err := receiver.GatewayTrust().Verify(context.Background(), chain)
	if err != nil {
		return trust.Verified{}, err
	}
	if !receiver.IsGateway(v) {
		return trust.Verified{}, errNotGateway
	}
	return v, nil
}

// maxProblemSize bounds the answer that refuses a registration, in bytes.
const maxProblemSize = 4 << 10

// register sends the registration, and returns a reader of what follows the answer.
func (s *Server) register(c net.Conn, addr string) (*bufio.Reader, error) {
	r, err := wire.Registration{Services: s.config.Services, Streams: s.config.Streams}.Request(addr)
	if err != nil {
		return nil, err
	}
	if err := r.Write(c); err != nil {
		return nil, err
	}
	buffered := bufio.NewReader(&io.LimitedReader{R: c, N: wire.MaxHeaderBytes})
	res, err := http.ReadResponse(buffered, r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(res.Header.Get("Upgrade"), wire.Protocol) {
		return buffered, nil
	}
	var p problem.Document
	if body, err := io.ReadAll(io.LimitReader(res.Body, maxProblemSize)); err == nil && json.Unmarshal(body, &p) == nil && p.Reason.Known() {
		return nil, &reason.Refusal{Reason: p.Reason, Detail: "the gateway refused the registration"}
	}
	return nil, fmt.Errorf("the gateway answered %d", res.StatusCode)
}
