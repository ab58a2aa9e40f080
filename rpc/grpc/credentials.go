package guardgrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/ports"
)

// TransportCredentials are credentials.TransportCredentials of ports, for servers. They are
// made by Credentials, and are safe for concurrent use.
type TransportCredentials struct {
	ports  []*ports.Port
	pair   *pair // nil: they are not from ServerOptions
	reject *rejector
	log    *sync.Once
}

// Credentials returns transport credentials for connections of ports: the ports do the
// handshakes, so the server must serve their listeners, which Port.Listen and Port.Wrap return.
// Pass them to ServerOptions. With grpc.Creds alone the server refuses every call, as nothing
// would decide about it.
func Credentials(all ...*ports.Port) *TransportCredentials {
	return &TransportCredentials{ports: slices.Clone(all), reject: &rejector{}, log: &sync.Once{}}
}

// ServerHandshake takes over a connection whose handshake the port has finished. The error for
// any other is logged once.
func (c *TransportCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	port, conn := portOf(raw)
	if port == nil || !slices.Contains(c.ports, port) {
		// Fail closed: nothing has verified a certificate.
		c.log.Do(func() { slog.Error(errListener.Error(), slog.String("remote", raw.RemoteAddr().String())) })
		return nil, nil, errListener
	}
	t := raw.(*tls.Conn)
	if why := c.wrong(); why != nil {
		c.reject.serve(t, port, why)
		return nil, nil, credentials.ErrConnDispatched
	}
	state := t.ConnectionState()
	if state.NegotiatedProtocol != "h2" {
		return nil, nil, errProtocol
	}
	info := credentials.TLSInfo{State: state, CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}
	return t, &authInfo{
		TLSInfo: info, pair: c.pair, conn: conn, remote: raw.RemoteAddr().String(),
		peer: &peer.Peer{Addr: raw.RemoteAddr(), LocalAddr: raw.LocalAddr(), AuthInfo: info},
	}, nil
}

// wrong returns why no call may be served over the credentials, or nil.
func (c *TransportCredentials) wrong() error {
	if c.pair == nil {
		return errAlone
	}
	return c.pair.wrong
}

var (
	errListener = errors.New("guardgrpc: a connection does not come from a port of the credentials: serve the listener of Port.Listen or Port.Wrap, and pass its port to Credentials")
	errProtocol = errors.New("guardgrpc: the client did not negotiate h2 (ALPN, RFC 7301)")
	errAlone    = errors.New("guardgrpc: every call is refused: the server has the credentials without the guard: pass them to ServerOptions, and its result to grpc.NewServer, in place of grpc.Creds")
)

// portOf returns the port that has accepted a connection, or nil.
func portOf(raw net.Conn) (*ports.Port, connstate.Conn) {
	conn, ok := connstate.Of(raw)
	if !ok {
		return nil, nil
	}
	c, _ := ports.FromContext(connstate.NewContext(context.Background(), conn))
	return c.Port(), conn
}

// authInfo describes the connection of a call.
type authInfo struct {
	credentials.TLSInfo
	pair   *pair
	conn   connstate.Conn
	remote string
	peer   *peer.Peer // as handlers see it: with the type that they expect
}

// ClientHandshake returns an error: the credentials are a server's.
func (c *TransportCredentials) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("guardgrpc: the credentials are for servers: a client uses credentials.NewTLS")
}

// Info names TLS as the protocol.
func (c *TransportCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

// Clone returns the credentials: nothing changes them.
func (c *TransportCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName returns an error: it is for clients.
func (c *TransportCredentials) OverrideServerName(string) error {
	return errors.New("guardgrpc: the credentials are for servers")
}
