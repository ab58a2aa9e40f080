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
	"github.com/mtlsguard/mtlsguard/internal/alias"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Config configures a Transport. New reads it once.
type Config struct {
	Keystore Keystore // required

	// Roots are the authorities that issue the servers' certificates. Exactly one of
	// Roots, Base.TLSClientConfig.RootCAs and SystemRoots is required. SystemRoots uses
	// the roots of the operating system.
	Roots       *x509.CertPool
	SystemRoots bool

	// Base is the template of the transports underneath: diallers, proxy, timeouts, and
	// limits, which apply to each pool. New copies it. New refuses whatever would bypass
	// the identity or the verification of servers: DialTLS, Certificates, a session
	// cache, InsecureSkipVerify, and so on. Zero Protocols mean HTTP/1.1 and HTTP/2. Nil
	// means a transport without a proxy, even if the environment names one.
	Base *http.Transport

	// Default is the alias for calls whose context chooses none. If it is empty, such
	// calls fail with ErrNoIdentity.
	Default string

	// Allow returns an error if the caller in a context may not use an alias; the call
	// then fails with that error. It is called for every call that presents a
	// credential, the default one too, but not for AsNobody. Its context carries no
	// choice of an identity. Nil allows every alias.
	Allow func(ctx context.Context, alias string) error

	// CrossOrigin is the effect of a redirect to another origin. The zero value is Drop.
	CrossOrigin CrossOrigin

	// MustBeAsked makes a call that presents a certificate fail with ErrNotAsked if the server does
	// not request one. Origins in Renegotiate are exempt, because they request the certificate
	// later.
	MustBeAsked bool

	// Renegotiate lists origins whose servers request a certificate in the middle of a connection.
	// They get HTTP/1.1 over TLS 1.2, and may renegotiate once on each connection (RFC 5746).
	Renegotiate []string

	MaxPools    int           // identities that have connections at one time; 0 means 256
	IdleTimeout time.Duration // a pool without calls is closed after it; 0 means 10 min

	// Ping is the time without data on an HTTP/2 connection after which a ping is sent.
	// PingTimeout is the time until the answer to the ping; after it, the connection is
	// closed and its calls fail. 0 means 5 s for each; a negative Ping sends none.
	// Base.HTTP2 takes precedence. Without pings, a connection whose peer has vanished
	// goes on taking calls.
	Ping        time.Duration
	PingTimeout time.Duration

	// Drain limits the calls in progress when their credential or the roots are
	// replaced: their connections are closed after it. 0 means no limit.
	Drain time.Duration

	// OnHandshake is called after every TLS handshake. It must not block.
	OnHandshake func(Handshake)

	// Now returns the current time, which the validity of credentials is checked
	// against. Nil means time.Now.
	Now func() time.Time
}

const (
	defaultMaxPools    = 256
	defaultIdleTimeout = 10 * time.Minute
)

// defaultBase returns a transport without a proxy.
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
		c.MaxPools = defaultMaxPools
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = defaultIdleTimeout
	}
	if c.Ping == 0 {
		c.Ping = defaultPing
	}
	if c.PingTimeout == 0 {
		c.PingTimeout = defaultPingTimeout
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check returns the origins of Renegotiate, or all errors in the Config. base is the copy
// of Base that the Transport will use.
func (c *Config) check(base *http.Transport) ([]origin, error) {
	var wrong errorlist.List
	report := func(what, hint string) { wrong.Add(configerror.Error{What: "outbound: " + what, Hint: hint}) }
	if c.Keystore == nil {
		report("Keystore is nil", "package keystore has keystores in memory and on disk")
	}
	if c.Default != "" && !alias.Valid(c.Default) {
		report(fmt.Sprintf("Default %q is not an alias", c.Default), alias.Form)
	}
	if c.CrossOrigin < Drop || c.CrossOrigin > KeepListed {
		report(fmt.Sprintf("CrossOrigin is %d", c.CrossOrigin), "Drop, Refuse or KeepListed")
	}
	if c.MaxPools < 0 || c.IdleTimeout < 0 || c.Drain < 0 || c.PingTimeout < 0 {
		report("MaxPools, IdleTimeout, Drain or PingTimeout is negative", "0 means the default")
	}
	checkRoots(c, base, report)
	checkBase(base, report)
	var renegotiate []origin
	for _, text := range c.Renegotiate {
		o, problem := parseOrigin(text)
		if problem != "" {
			report(fmt.Sprintf("Renegotiate %q: %s", text, problem), originForm)
			continue
		}
		renegotiate = append(renegotiate, o)
	}
	if p := base.Protocols; p != nil && !p.HTTP1() && len(renegotiate) > 0 {
		report("Renegotiate needs HTTP/1.1, and Base.Protocols excludes it", "Base.Protocols.SetHTTP1(true)")
	}
	return renegotiate, wrong.Err()
}

func checkRoots(c *Config, base *http.Transport, report func(what, hint string)) {
	given := 0
	for _, there := range []bool{c.Roots != nil, base.TLSClientConfig != nil && base.TLSClientConfig.RootCAs != nil, c.SystemRoots} {
		if there {
			given++
		}
	}
	switch {
	case given == 0:
		// Fail closed: without roots, crypto/tls would silently use the system's.
		report("no roots to verify servers with", "Roots: the CA certificates of the servers; or SystemRoots: true")
	case given > 1:
		report("the roots are given more than once", "one of Roots, Base.TLSClientConfig.RootCAs, SystemRoots")
	case c.Roots != nil && c.Roots.Equal(x509.NewCertPool()):
		report("Roots is empty", "without roots no server can be verified")
	}
}

// checkBase reports whatever would present another identity or none, or would not verify
// the server.
func checkBase(base *http.Transport, report func(what, hint string)) {
	//lint:ignore SA1019 a deprecated field bypasses as well as a new one
	if base.DialTLSContext != nil || base.DialTLS != nil {
		report("Base dials TLS itself, and would send no certificate", "use Base.DialContext, which dials TCP")
	}
	if len(base.TLSNextProto) > 0 {
		// All copies of Base would share the connections of such a protocol.
		report("Base has protocols of its own in TLSNextProto, which would share connections between identities", "Base.Protocols chooses between HTTP/1.1 and HTTP/2")
	}
	c := base.TLSClientConfig
	if c == nil {
		return
	}
	if len(c.Certificates) > 0 || c.GetClientCertificate != nil {
		report("Base has a client certificate of its own", "put the certificate into the keystore")
	}
	if c.ClientSessionCache != nil {
		report("Base has a session cache, which would resume the session of one identity for another", "remove it: every pool has a cache of its own")
	}
	if c.InsecureSkipVerify {
		report("Base does not verify servers (InsecureSkipVerify)", "Roots: the CA certificate of a test server")
	}
	if c.VerifyPeerCertificate != nil {
		report("Base has VerifyPeerCertificate, which resumed sessions skip", "use VerifyConnection")
	}
	if c.ServerName != "" {
		report(fmt.Sprintf("Base verifies every server as %q", c.ServerName), "use that name in the URL; Base.DialContext can connect to another address")
	}
	if c.Renegotiation != tls.RenegotiateNever {
		report("Base lets every server renegotiate", "Renegotiate: the origins that need it")
	}
	if v := c.MinVersion; v != 0 && v < tls.VersionTLS12 || c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS12 {
		report("Base allows versions before TLS 1.2", "tls.VersionTLS12")
	}
}
