// Package probe connects once to a TLS server as a client, and reports the server's
// certificate, the certificates that it requests, the certificate that was sent, and
// the server's answer by an alert or over HTTP.
//
// In TLS 1.3 a server verifies the client's certificate after the client's side of the
// handshake has finished. The alert arrives with the first read, so a probe sends an
// HTTP request to receive it.
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

	"github.com/mtlsguard/mtlsguard/internal/probemark"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Config is a server, a client certificate and a request.
type Config struct {
	Addr            string           // host:port
	ServerName      string           // the name in the server's certificate; "" is the host of Addr
	Certificate     *tls.Certificate // nil: no certificate
	Roots           *x509.CertPool   // the trust anchors for the server's certificate; nil is the system's
	IgnoreUntrusted bool             // continue if the server's certificate is not trusted
	Method          string           // "" sends no request
	Path            string
	Timeout         time.Duration // for the whole probe; 0 is 10 s
}

// Stage is the last step that a probe reached.
type Stage string

// The stages, in their order.
const (
	Connect   Stage = "connect"   // there is no TCP connection
	Handshake Stage = "handshake" // the TLS handshake failed
	Request   Stage = "request"   // there is no answer
	Answered  Stage = "answered"
)

// Side is the side that ended the connection.
type Side string

// The sides.
const (
	NoSide  Side = ""
	Server  Side = "server"  // the server refused the client
	Client  Side = "client"  // the client refused the server, or does not support what the server requires
	Network Side = "network" // neither: there is no connection, or it was closed without an alert
)

// Report is the result of a probe.
type Report struct {
	Addr         string
	Remote       string
	Stage        Stage
	RefusedBy    Side
	Reason       reason.Reason // of the server's refusal, or ""
	Alert        *Alert
	Err          error // the error that ended the connection
	Version      uint16
	Cipher       uint16
	Protocol     string
	Chain        []*x509.Certificate // the server's certificates
	UntrustedErr error               // why the server's certificate is not trusted; nil if it is
	Requested    bool                // whether the server requested a certificate
	Authorities  [][]byte            // the names of the authorities that the server lists, in DER
	Unacceptable error               // why the certificate is outside the server's lists of authorities and algorithms
	WrongKey     error               // why the server takes no signature by the certificate's key
	Sent         bool                // whether a certificate was sent
	Answer       *Answer
	PlainHTTP    bool // whether the server answered in HTTP without TLS
	ServerName   string
}

// Answer is the HTTP answer.
type Answer struct {
	Status      int           `json:"status"`
	Reason      reason.Reason `json:"reason,omitempty"`    // of an mtlsguard problem document (RFC 9457)
	Title       string        `json:"title,omitempty"`     // of any problem document
	Reference   string        `json:"reference,omitempty"` // the reference in the server's log
	Challenge   []string      `json:"challenge,omitempty"`
	Explanation []string      `json:"explanation,omitempty"` // of a server with debug on
	Body        string        `json:"-"`
}

// Run connects once. The report is never nil, and holds the error if there is one.
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

// tlsConfig returns a configuration that fills in the report.
func (r *Report) tlsConfig(c *Config) *tls.Config {
	return &tls.Config{
		ServerName: r.ServerName, NextProtos: []string{"http/1.1", probemark.Protocol}, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: true, // #nosec G402 -- VerifyConnection below verifies, and records the chain of a server that is refused
		VerifyConnection: func(cs tls.ConnectionState) error {
			r.Chain = cs.PeerCertificates
			if r.UntrustedErr = verifyServer(cs.PeerCertificates, r.ServerName, c.Roots); r.UntrustedErr != nil && !c.IgnoreUntrusted {
				return &tls.CertificateVerificationError{UnverifiedCertificates: cs.PeerCertificates, Err: r.UntrustedErr}
			}
			return nil
		},
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			r.Requested, r.Authorities = true, request.AcceptableCAs
			if c.Certificate == nil {
				return &tls.Certificate{}, nil
			}
			r.Sent, r.Unacceptable = true, request.SupportsCertificate(c.Certificate)
			ofAny := *request
			ofAny.AcceptableCAs = nil
			r.WrongKey = ofAny.SupportsCertificate(c.Certificate)
			return c.Certificate, nil // sent even if unacceptable: a server may leave authorities out of its list
		},
	}
}

// verifyServer verifies the server's certificate as crypto/tls would.
func verifyServer(chain []*x509.Certificate, name string, roots *x509.CertPool) error {
	options := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(options)
	return err
}

// maxBody bounds the part of the answer that is read, in bytes.
const maxBody = 64 << 10

// sendRequest sends the request and reads the answer.
func (r *Report) sendRequest(t *tls.Conn, c *Config) error {
	host := r.ServerName
	if _, port, err := net.SplitHostPort(c.Addr); err == nil && port != "443" {
		host = net.JoinHostPort(r.ServerName, port)
	}
	// A write error is returned only if there is no answer: a server that refuses the client
	// may have closed the connection, and its alert can still be read.
	_, writeErr := fmt.Fprintf(t, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAccept: */*\r\nConnection: close\r\n\r\n", c.Method, c.Path, host, probemark.UserAgent)
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(t, 4*maxBody)), &http.Request{Method: c.Method})
	switch {
	case err != nil && findAlert(err) == nil && writeErr != nil:
		return writeErr
	case err != nil:
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxBody)) // a part of the body is enough
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
