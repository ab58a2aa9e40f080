package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Config is what a Transport is built from. It is read once, by New.
type Config struct {
	Keystore Keystore // needed

	// Roots are the authorities that servers are believed by. They, or Base's
	// RootCAs, are needed unless SystemRoots says that the system's are meant.
	Roots       *x509.CertPool
	SystemRoots bool

	// Base is the pattern of the transports underneath: diallers, proxy, timeouts and
	// limits, each pool with its own. It is copied. What would bypass the identity or
	// the check of the server is a mistake: DialTLS, Certificates, a session cache,
	// InsecureSkipVerify, and so on. Its zero Protocols mean HTTP/1.1 and HTTP/2. Nil is
	// a transport without a proxy, also where the environment names one.
	Base *http.Transport

	// Default is the alias of calls for which none was chosen; empty: they fail.
	Default string

	// Allow says whether the caller of a context may use an alias; an error refuses.
	// It is asked for every call that presents a credential, the default one too, and
	// not for nobody. The context that it gets carries no choice of identity. Nil allows.
	Allow func(ctx context.Context, alias string) error

	// CrossOrigin is what redirects to another origin do to the identity; Drop.
	CrossOrigin CrossOrigin

	// MustBeAsked fails calls with ErrNotAsked where the server did not ask for the
	// certificate that the call wants to present. Origins in Renegotiate are left out:
	// they ask later.
	MustBeAsked bool

	// Renegotiate are origins whose servers ask for a certificate in the middle of a
	// connection. They are spoken to by HTTP/1.1 over TLS 1.2, and may ask once a
	// connection (RFC 5746).
	Renegotiate []string

	MaxPools    int           // identities with open connections at one time; 256
	IdleTimeout time.Duration // after which a pool without calls is closed; 10 min

	// Ping is how long nothing may come on an HTTP/2 connection until the server is asked
	// whether it is there, and PingTimeout how long its answer may
	// take: then the connection is closed, and its calls fail. 0 means 5 s each; a negative
	// Ping sends none. What Base.HTTP2 says about them comes first. Without pings a
	// connection whose peer has vanished goes on taking calls.
	Ping        time.Duration
	PingTimeout time.Duration

	// Drain is how long calls under way may go on when their credential or the roots
	// are replaced; their connections are then closed. 0: until they end.
	Drain time.Duration

	// Observe is told of every handshake. It must not block.
	Observe func(Handshake)

	Now func() time.Time // the clock that certificates are judged by; nil is the wall clock, to the second
}

const (
	defaultPools = 256
	defaultIdle  = 10 * time.Minute
)

// defaultBase is a transport without a proxy.
func defaultBase() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConns:        100,
		MaxIdleConnsPerHost: 16,
	}
}

func (c Config) withDefaults() Config {
	if c.Base == nil {
		c.Base = defaultBase()
	}
	if c.MaxPools == 0 {
		c.MaxPools = defaultPools
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdle
	}
	if c.Ping == 0 {
		c.Ping = defaultPing
	}
	if c.PingTimeout == 0 {
		c.PingTimeout = defaultPingTimeout
	}
	return c
}

// check returns the origins of Renegotiate. It looks at a copy of Base.
func (c *Config) check(base *http.Transport) ([]origin, error) {
	var wrong errorlist.List
	say := func(what, hint string) { wrong.Add(configerror.Error{What: "outbound: " + what, Hint: hint}) }
	if c.Keystore == nil {
		say("no keystore", "Keystore: see package keystore")
	}
	if c.Default != "" && !ValidAlias(c.Default) {
		say(fmt.Sprintf("Default %q cannot be an alias", c.Default), "[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
	}
	if c.CrossOrigin < Drop || c.CrossOrigin > KeepListed {
		say(fmt.Sprintf("CrossOrigin is %d", c.CrossOrigin), "Drop, Refuse or KeepListed")
	}
	if c.MaxPools < 0 || c.IdleTimeout < 0 || c.Drain < 0 || c.PingTimeout < 0 {
		say("MaxPools, IdleTimeout, Drain or PingTimeout is negative", "")
	}
	checkRoots(c, base, say)
	checkBase(base, say)
	var renegotiate []origin
	for _, text := range c.Renegotiate {
		o, why := parseOrigin(text)
		if why != "" {
			say(fmt.Sprintf("Renegotiate %q: %s", text, why), "https://host or https://host:port")
			continue
		}
		renegotiate = append(renegotiate, o)
	}
	if p := base.Protocols; p != nil && !p.HTTP1() && len(renegotiate) > 0 {
		say("Renegotiate needs HTTP/1.1, and Base.Protocols leaves it out", "SetHTTP1(true)")
	}
	return renegotiate, wrong.Err()
}

func checkRoots(c *Config, base *http.Transport, say func(what, hint string)) {
	given := 0
	for _, there := range []bool{c.Roots != nil, base.TLSClientConfig != nil && base.TLSClientConfig.RootCAs != nil, c.SystemRoots} {
		if there {
			given++
		}
	}
	switch {
	case given == 0:
		// Fail closed: without roots, crypto/tls would believe the system's in silence.
		say("no roots to judge servers by", "Roots: the CA certificates of the servers; or SystemRoots: true")
	case given > 1:
		say("the roots are given more than once", "one of Roots, Base.TLSClientConfig.RootCAs, SystemRoots")
	case c.Roots != nil && c.Roots.Equal(x509.NewCertPool()):
		say("Roots is empty", "no server would be believed")
	}
}

// checkBase finds what would present another identity, none, or not check the server.
func checkBase(base *http.Transport, say func(what, hint string)) {
	//lint:ignore SA1019 a deprecated field bypasses as well as a new one
	if base.DialTLSContext != nil || base.DialTLS != nil {
		say("Base dials TLS itself, and would send no certificate", "DialContext, which dials TCP")
	}
	if len(base.TLSNextProto) > 0 {
		// Such a protocol has one pool of connections for all copies of Base.
		say("Base has protocols of its own in TLSNextProto, which would share connections between identities", "Protocols chooses between HTTP/1.1 and HTTP/2")
	}
	c := base.TLSClientConfig
	if c == nil {
		return
	}
	if len(c.Certificates) > 0 || c.GetClientCertificate != nil {
		say("Base has a client certificate of its own", "put it into the keystore")
	}
	if c.ClientSessionCache != nil {
		say("Base has a session cache, which would resume one identity's session for another", "every pool has one of its own")
	}
	if c.InsecureSkipVerify {
		say("Base does not verify servers (InsecureSkipVerify)", "Roots: the CA certificate of a test server")
	}
	if c.VerifyPeerCertificate != nil {
		say("Base has VerifyPeerCertificate, which resumed sessions pass by", "VerifyConnection")
	}
	if c.ServerName != "" {
		say(fmt.Sprintf("Base verifies every server as %q", c.ServerName), "call it by that name; DialContext may connect to another address")
	}
	if c.Renegotiation != tls.RenegotiateNever {
		say("Base lets every server renegotiate", "Renegotiate: the origins that need it")
	}
	if v := c.MinVersion; v != 0 && v < tls.VersionTLS12 || c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS12 {
		say("Base allows versions before TLS 1.2", "tls.VersionTLS12")
	}
}
