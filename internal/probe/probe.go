// Package probe connects to a TLS server as one client, once, and notes everything
// that tells why it is let in or not: what the server is, what it asks for, what was
// sent, and what was answered, by an alert or over HTTP.
//
// In TLS 1.3 a server judges the client's certificate after the client's side of the
// handshake is over. Its refusal is what the first read brings, so a probe asks
// something over HTTP to learn it.
package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Config says whom to connect to, as whom, and what to ask.
type Config struct {
	Addr            string           // host:port
	ServerName      string           // what the server is to be called; empty is the host of Addr
	Certificate     *tls.Certificate // nil: as nobody
	Roots           *x509.CertPool   // that the server's certificate leads to; nil is the system's
	IgnoreUntrusted bool             // go on with a server that is not believed, to see what it says
	Method          string           // empty: no request is sent
	Path            string
	Timeout         time.Duration // for everything; 0 is 10 s
}

// Stage is how far a probe came.
type Stage string

// Stages, in their order.
const (
	Connect   Stage = "connect"   // no TCP connection
	Handshake Stage = "handshake" // no TLS connection
	Request   Stage = "request"   // no answer
	Answered  Stage = "answered"
)

// Side is who ended it.
type Side string

// Sides.
const (
	NoSide  Side = ""
	Server  Side = "server"  // it refused us
	Client  Side = "client"  // we refused the server, or could not do what it wants
	Network Side = "network" // neither: no connection, no words
)

// Report is what a probe found.
type Report struct {
	Addr         string
	Remote       string
	Stage        Stage
	RefusedBy    Side
	Reason       reason.Reason // of the server's refusal, where it has a word
	Alert        *Alert
	Err          error // what ended it
	Version      uint16
	Cipher       uint16
	Protocol     string
	Chain        []*x509.Certificate // the server's own
	UntrustedErr error               // why the server is not believed; nil: it is
	Requested    bool                // for a certificate
	Authorities  [][]byte            // of authorities that the server takes, in DER
	Unacceptable error               // why, by what the server says, it may refuse the certificate that is sent
	Sent         bool                // a certificate
	Answer       *Answer
	PlainHTTP    bool // the server answered without TLS
	ServerName   string
}

// Answer is an HTTP answer.
type Answer struct {
	Status      int           `json:"status"`
	Reason      reason.Reason `json:"reason,omitempty"`    // of a problem document (RFC 9457) of mtlsguard
	Title       string        `json:"title,omitempty"`     // of any
	Reference   string        `json:"reference,omitempty"` // in the server's log
	Challenge   []string      `json:"challenge,omitempty"`
	Explanation []string      `json:"explanation,omitempty"` // by a server that debugs
	Body        string        `json:"-"`
}

// Run connects once. The report is never nil; what went wrong is in it.
func Run(ctx context.Context, c Config) *Report {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	r := &Report{Addr: c.Addr, Stage: Connect, ServerName: c.ServerName}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && r.ServerName == "" {
		r.ServerName = host
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return r.record(Network, err)
	}
	defer raw.Close()
	r.Remote = raw.RemoteAddr().String()
	if deadline, ok := ctx.Deadline(); ok {
		raw.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	r.Stage = Handshake
	t := tls.Client(raw, r.tlsConfig(&c))
	err = t.Handshake()
	cs := t.ConnectionState()
	r.Version, r.Cipher, r.Protocol = cs.Version, cs.CipherSuite, cs.NegotiatedProtocol
	if err != nil {
		return r.recordFailure(err)
	}
	if c.Method == "" {
		return r
	}
	r.Stage = Request
	if err := r.sendRequest(t, &c); err != nil {
		return r.recordFailure(err)
	}
	r.Stage = Answered
	if r.Answer.Status >= 400 {
		r.RefusedBy, r.Reason = Server, r.Answer.Reason
	}
	return r
}

func (r *Report) tlsConfig(c *Config) *tls.Config {
	return &tls.Config{
		ServerName: r.ServerName, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- VerifyConnection below judges, and notes the chain of a server that is refused
		VerifyConnection: func(cs tls.ConnectionState) error {
			r.Chain = cs.PeerCertificates
			if r.UntrustedErr = verifyServer(cs.PeerCertificates, r.ServerName, c.Roots); r.UntrustedErr != nil && !c.IgnoreUntrusted {
				return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: r.UntrustedErr}
			}
			return nil
		},
		GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			r.Requested, r.Authorities = true, asked.AcceptableCAs
			if c.Certificate == nil {
				return &tls.Certificate{}, nil
			}
			r.Sent, r.Unacceptable = true, asked.SupportsCertificate(c.Certificate)
			return c.Certificate, nil // whatever the server says it accepts: it may leave authorities out
		},
	}
}

// judge is what crypto/tls would do.
func verifyServer(chain []*x509.Certificate, name string, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}

const maxBody = 64 << 10

func (r *Report) sendRequest(t *tls.Conn, c *Config) error {
	host := r.ServerName
	if _, port, err := net.SplitHostPort(c.Addr); err == nil && port != "443" {
		host = net.JoinHostPort(r.ServerName, port)
	}
	// A server that has refused us may have closed already: what it said is still to be read.
	_, unsent := fmt.Fprintf(t, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: mtlsguard\r\nAccept: */*\r\nConnection: close\r\n\r\n", c.Method, c.Path, host)
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(t, 4*maxBody)), &http.Request{Method: c.Method})
	switch {
	case err != nil && findAlert(err) == nil && unsent != nil:
		return unsent
	case err != nil:
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxBody)) // what came is shown
	a := &Answer{Status: response.StatusCode, Challenge: response.Header.Values("WWW-Authenticate"), Body: string(body)}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "application/problem+json" {
		var p struct {
			Title, Reference string
			Reason           reason.Reason
			Explanation      []string
		}
		if json.Unmarshal(body, &p) == nil {
			a.Title, a.Reference, a.Explanation = p.Title, p.Reference, p.Explanation
			if p.Reason.Known() {
				a.Reason = p.Reason
			}
		}
	}
	r.Answer = a
	return nil
}
