package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/probe"
)

// live is what a running server says to the same.
type liveResult struct {
	Addr   string
	Report *probe.Report
	Sent   bool // a request
	Same   bool
}

// ask asks a running server. A request that may change something is not sent.
func (c *explainCmd) compareWithServer(ctx context.Context, entry certfile.Entry, pinned *x509.Certificate, x *mtlsguard.Explanation) (*liveResult, error) {
	if err := validateAddr(c.Host); err != nil {
		return nil, err
	}
	config := probe.Config{Addr: c.Host, ServerName: c.Name, Path: c.Path, IgnoreUntrusted: c.Cacert == ""}
	var err error
	if config.Roots, err = readRoots(c.Cacert); err != nil {
		return nil, err
	}
	if len(entry.Chain) > 0 {
		if entry.Key == nil || !certfile.KeyMatches(entry.Key, entry.Chain[0]) {
			return nil, usageError("--host with --cert needs the key of the certificate", "--key FILE, or a file that holds both")
		}
		config.Certificate = &tls.Certificate{PrivateKey: entry.Key, Leaf: entry.Chain[0]}
		for _, cert := range entry.Chain {
			config.Certificate.Certificate = append(config.Certificate.Certificate, cert.Raw)
		}
	}
	sent := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, c.Method) && len(c.Header) == 0 && c.Forwarded == ""
	if sent {
		if err := validateTarget(c.Path); err != nil {
			return nil, err
		}
		config.Method = c.Method
	}
	r := probe.Run(ctx, config)
	if c.Cacert == "" && pinned != nil && len(r.Chain) > 0 && !r.Chain[0].Equal(pinned) {
		return nil, usageError("the server at "+c.Host+" has another certificate than the configuration names", "is it the right server? --cacert FILE compares all the same")
	}
	l := &liveResult{Addr: c.Host, Report: r, Sent: sent}
	switch {
	case r.RefusedBy == probe.Server && r.Stage != probe.Answered:
		l.Same = x.Refused
	case r.RefusedBy == probe.Network, r.RefusedBy == probe.Client:
	case !sent:
		l.Same = !x.Refused
	case x.Allowed:
		l.Same = r.Answer.Reason == ""
	default:
		l.Same = r.Answer.Status == x.Status && (r.Answer.Reason == x.Reason || c.Method == http.MethodHead)
	}
	return l, nil
}

func validateAddr(addr string) error {
	if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
		return usageError(addrWrong(addr), "HOST:PORT, say localhost:8443")
	}
	return nil
}

func addrWrong(addr string) string { return "\"" + addr + "\" is not HOST:PORT" }

func validateTarget(path string) error {
	if path == "" || strings.ContainsAny(path, " \t\r\n") {
		return usageError("the path has blanks, or nothing in it", "a path as it is sent: /a%20b")
	}
	return nil
}

// says is what a running server said to what was explained.
func (l *liveResult) describe() string {
	what, because := describeProbe(l.Report)
	if because != "" {
		what += ": " + because
	}
	return what
}
