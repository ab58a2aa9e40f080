package ports

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// Configure sets the fields of an http.Server that a port needs: ConnContext, the limits, and
// DisableGeneralOptionsHandler. It wraps a ConnContext, a ConnState and a Handler that are set
// before. Call it before the server serves.
//
// It keeps what is set and stricter than the port's limits: the four timeouts, MaxHeaderBytes
// and HTTP2.MaxConcurrentStreams. The port offers no protocol that Protocols, or TLSNextProto,
// leaves out. The port does TLS itself: a field of TLSConfig that asks for more than the port
// does is an error, and so is a setting that cannot be kept; put it into Config.TLS. After an
// error the server is unchanged, and the guard refuses every request that it serves.
func (p *Port) Configure(srv *http.Server) error {
	c := &p.state.Load().config
	l := c.Limits
	var wrong errorlist.List
	fail := func(what, hint string) {
		wrong.Add(configerror.Error{What: fmt.Sprintf("port %q: http.Server.%s", p.name, what), Hint: hint})
	}
	if n := srv.MaxHeaderBytes; n > 0 && n < minHeaderBytes {
		fail(fmt.Sprintf("MaxHeaderBytes is %d", n), fmt.Sprintf("set %d or more", minHeaderBytes))
	} else if n > 0 {
		l.HeaderBytes = min(l.HeaderBytes, n)
	}
	c.compareTLS(srv.TLSConfig, &wrong)
	spoken := spokenBy(srv)
	if len(spoken) == 0 {
		fail("Protocols has neither HTTP1 nor HTTP2", "a port serves these over TLS")
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	if !p.restrictProtocols(spoken) {
		fail(fmt.Sprintf("Protocols: another server of the port supports none of %q", spoken), "configure the servers of a port alike")
		return wrong.Err()
	}
	// As net/http: ReadTimeout stands for the other two where they are not set.
	l.Headers = stricter(cmp.Or(srv.ReadHeaderTimeout, srv.ReadTimeout), l.Headers)
	srv.IdleTimeout = stricter(cmp.Or(srv.IdleTimeout, srv.ReadTimeout), l.Idle)
	srv.ReadTimeout = stricter(srv.ReadTimeout, l.Request)
	l.Request = stricter(srv.WriteTimeout, l.Request) // limitRequests applies it to the answer
	srv.ReadHeaderTimeout = l.Headers
	srv.WriteTimeout = firstWriteDeadline(l)
	srv.ConnContext = withConnContext(srv.ConnContext)
	srv.ConnState = withConnState(srv.ConnState)
	// On HTTP/2 net/http adds http2Slack, and enforces the limit. On HTTP/1 it reads up to 8 KiB
	// more, and limitRequests enforces the rest.
	srv.MaxHeaderBytes = l.HeaderBytes - http2Slack
	var h2 http.HTTP2Config
	if srv.HTTP2 != nil {
		h2 = *srv.HTTP2
	}
	if h2.MaxConcurrentStreams <= 0 || h2.MaxConcurrentStreams > l.Streams {
		h2.MaxConcurrentStreams = l.Streams
	}
	if h2.MaxReadFrameSize == 0 {
		h2.MaxReadFrameSize = 16 << 10 // net/http keeps a buffer of the largest frame of each connection; its default is 1 MiB
	}
	srv.HTTP2 = &h2
	srv.DisableGeneralOptionsHandler = true // otherwise net/http would answer OPTIONS * itself, without the guard
	if srv.Handler == nil {
		srv.Handler = http.DefaultServeMux
	}
	srv.Handler = limitRequests(srv.Handler, l)
	return nil
}

// stricter returns the shorter of two limits, of which 0 and less mean none.
func stricter(own, port time.Duration) time.Duration {
	if own > 0 && (port <= 0 || own < port) {
		return own
	}
	return port
}

// spokenBy returns the protocols that a server supports over TLS, as net/http decides.
func spokenBy(srv *http.Server) (out []string) {
	_, hasH2 := srv.TLSNextProto["h2"]
	h2, h1 := srv.TLSNextProto == nil || hasH2, true
	if p := srv.Protocols; p != nil {
		h2, h1 = p.HTTP2(), p.HTTP1()
	}
	if h2 {
		out = append(out, "h2")
	}
	if h1 {
		out = append(out, "http/1.1")
	}
	return out
}

// restrictProtocols restricts the protocols of the port to those that one more server supports. It
// returns false, and changes nothing, if none is left.
func (p *Port) restrictProtocols(protocols []string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.spoken.Load(); before != nil {
		protocols = slices.DeleteFunc(protocols, func(s string) bool { return !slices.Contains(*before, s) })
	}
	if len(protocols) == 0 {
		return false
	}
	if len(protocols) < len(httpProtos) {
		p.spoken.Store(&protocols)
	}
	return true
}

// compareTLS adds an error for each setting of an http.Server's TLSConfig that the port does
// not have.
func (c *Config) compareTLS(asked *tls.Config, wrong *errorlist.List) {
	if asked == nil {
		return
	}
	where := fmt.Sprintf("port %q: http.Server.TLSConfig", c.Name)
	has := c.tlsBase()
	fail := func(what, hint string) {
		wrong.Add(configerror.Error{What: where + "." + what + ", and the port does TLS itself", Hint: hint})
	}
	checkTLS(where, asked, wrong)
	if asked.MinVersion > has.MinVersion {
		fail("MinVersion is higher than the port's", "set Config.MinVersion")
	}
	if asked.MaxVersion != 0 && (has.MaxVersion == 0 || asked.MaxVersion < has.MaxVersion) {
		fail("MaxVersion is lower than the port's", "set Config.TLS.MaxVersion")
	}
	if asked.CipherSuites != nil && !slices.Equal(asked.CipherSuites, has.CipherSuites) {
		fail("CipherSuites are not the port's", "set Config.TLS.CipherSuites")
	}
	if asked.CurvePreferences != nil && !slices.Equal(asked.CurvePreferences, has.CurvePreferences) {
		fail("CurvePreferences are not the port's", "set Config.TLS.CurvePreferences")
	}
	if asked.SessionTicketsDisabled && !has.SessionTicketsDisabled {
		fail("SessionTicketsDisabled is set", "set Config.TLS.SessionTicketsDisabled")
	}
	if asked.DynamicRecordSizingDisabled && !has.DynamicRecordSizingDisabled {
		fail("DynamicRecordSizingDisabled is set", "set Config.TLS.DynamicRecordSizingDisabled")
	}
	for _, p := range asked.NextProtos {
		if !slices.Contains(c.protos(), p) {
			fail(fmt.Sprintf("NextProtos has %q", p), "add it to Config.TLS.NextProtos")
		}
	}
}
