package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/probe"
)

// liveResult is the answer of a running server to the explained request.
type liveResult struct {
	Addr   string
	Report *probe.Report
	Sent   bool // whether a request was sent
	Same   bool // whether the server decided as explained
	Hints  []string
}

// isCompared reports whether the server decided anything.
func (l *liveResult) isCompared() bool {
	return l.Report.RefusedBy != probe.Network && l.Report.RefusedBy != probe.Client
}

// compareWithServer connects to the running server, and compares its decision with the
// explanation. Only GET, HEAD and OPTIONS requests are sent: others could change data.
func (c *explainCmd) compareWithServer(ctx context.Context, entry certfile.Entry, pinned *x509.Certificate, x *mtlsguard.Explanation) (*liveResult, error) {
	config := probe.Config{Addr: c.Host, ServerName: c.Name, Path: c.Path, IgnoreUntrusted: c.Cacert == ""}
	var err error
	if config.Roots, err = readRoots(c.Cacert); err != nil {
		return nil, err
	}
	if len(entry.Chain) > 0 {
		if entry.Key == nil || !certfile.KeyMatches(entry.Key, entry.Chain[0]) {
			return nil, usageError("--host with --cert needs the key of the certificate", "--key FILE, or --cert with a file that holds both")
		}
		config.Certificate = &tls.Certificate{PrivateKey: entry.Key, Leaf: entry.Chain[0]}
		for _, cert := range entry.Chain {
			config.Certificate.Certificate = append(config.Certificate.Certificate, cert.Raw)
		}
	}
	sent := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, c.Method) && len(c.Header) == 0 && c.Forwarded == ""
	if sent {
		config.Method = c.Method
	}
	r := probe.Run(ctx, config)
	if c.Cacert == "" && pinned != nil && len(r.Chain) > 0 && !r.Chain[0].Equal(pinned) {
		return nil, usageError("the server at "+c.Host+" presents a different certificate than the configuration names", "check the address; --cacert FILE compares anyway")
	}
	l := &liveResult{Addr: c.Host, Report: r, Sent: sent, Hints: probeHints(r, config.Certificate)}
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

// describe returns the server's decision in one line.
func (l *liveResult) describe() string {
	result, detail := describeProbe(l.Report)
	if detail != "" {
		result += ": " + detail
	}
	return result
}
