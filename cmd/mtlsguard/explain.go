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
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/probe"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

type explainCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Port   string `required:"" placeholder:"NAME" help:"The port, as the configuration names it."`
	Method string `arg:"" help:"GET, POST, …"`
	Path   string `arg:"" help:"The path, as it is sent."`

	Cert   string   `placeholder:"FILE" help:"What the client presents; without it, nobody."`
	Key    string   `placeholder:"FILE" help:"The certificate's key, for --host."`
	Host   string   `placeholder:"HOST:PORT" help:"Ask this running server too, and compare. Of methods it sends GET, HEAD and OPTIONS alone."`
	Cacert string   `placeholder:"FILE" help:"What the running server's certificate leads to; without it, it must be the one that the configuration names."`
	Name   string   `name:"host-name" placeholder:"NAME" help:"The host that the request is for (SNI and Host). Default: one that the port serves."`
	Header []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Another header: what a gateway states."`
	Stated string   `placeholder:"FILE" help:"The certificate that a gateway states, in the port's format; --cert is then the gateway's own."`
	password
}

func (*explainCmd) Help() string {
	return `The answer is that of the running server: the same code, asked about a request that nobody sends. It goes through handshake, mapping and policy, and ends with what would change it.

Examples:
  mtlsguard explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7
  mtlsguard explain --config mtlsguard.yaml --port public GET /whoami
  mtlsguard explain --config mtlsguard.yaml --cert bob.pem --key bob-key.pem --port internal --host localhost:8443 GET /orders/7

Exit status: 0 it is allowed, 1 it is refused, 2 the question is wrong.`
}

// asked is a question with all that belongs to its answer.
type asked struct {
	question mtlsguard.ExplainRequest
	answer   mtlsguard.Explanation
	site     *site
	cert     string // the file, as the user named it
	leaf     *x509.Certificate
	trust    *trust.Verifier // that judges who is calling; nil on a port without
	asks     bool            // the port, for a certificate
	live     *live
}

func (c *explainCmd) Run(a *app) error {
	server, err := mtlsguard.Open(c.Config, mtlsguard.Options{Now: a.now})
	if err != nil {
		return err
	}
	s, err := readSite(c.Config)
	if err != nil {
		return err
	}
	q, entry, err := c.question(a, s)
	if err != nil {
		return err
	}
	x := &asked{question: q, site: s, cert: c.Cert}
	if len(q.Certificates) > 0 {
		x.leaf = q.Certificates[0]
	}
	var pinned *x509.Certificate
	for _, p := range server.Ports() {
		if p.Name() != c.Port {
			continue
		}
		x.trust, x.asks = p.Config().Trust, p.Config().ClientAuth != ports.None
		if own, err := p.Config().Certificate(&tls.ClientHelloInfo{}); err == nil {
			pinned = own.Leaf
		}
	}
	if x.answer, err = server.Explain(a.ctx, q); err != nil {
		return err
	}
	if c.Host != "" {
		if x.live, err = c.ask(a.ctx, entry, pinned, &x.answer); err != nil {
			return err
		}
	}
	if a.json {
		if err := a.emit(x.report()); err != nil {
			return err
		}
	} else {
		x.print(a)
	}
	if !x.answer.Allowed || x.live != nil && !x.live.Same {
		return errNo // also where the running server says otherwise
	}
	return nil
}

func (c *explainCmd) question(a *app, s *site) (q mtlsguard.ExplainRequest, entry certfile.Entry, err error) {
	q = mtlsguard.ExplainRequest{Port: c.Port, Method: c.Method, Path: c.Path, Host: c.Name, Header: http.Header{}}
	password, err := c.read(a)
	if err != nil {
		return q, entry, err
	}
	if c.Cert != "" {
		if entry, err = one(c.Cert, password); err != nil {
			return q, entry, err
		}
		q.Certificates = entry.Chain
	}
	if c.Key != "" {
		if entry.Key, err = certfile.ReadKey(c.Key); err != nil {
			return q, entry, err
		}
	}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return q, entry, mistaken("--header is not NAME: VALUE", "--header 'Client-Cert: :MIIB…:'")
		}
		name = strings.TrimSpace(name)
		q.Header[name] = append(q.Header[name], strings.TrimSpace(value))
	}
	if c.Stated != "" {
		stated, err := one(c.Stated, password)
		if err != nil {
			return q, entry, err
		}
		topology, err := s.port(c.Port).topology()
		if err != nil {
			return q, entry, err
		}
		topology.Write(q.Header, stated.Chain)
	}
	return q, entry, nil
}

// live is what a running server says to the same.
type live struct {
	Addr   string
	Report *probe.Report
	Sent   bool // a request
	Same   bool
}

// ask asks a running server. A request that may change something is not sent.
func (c *explainCmd) ask(ctx context.Context, entry certfile.Entry, pinned *x509.Certificate, x *mtlsguard.Explanation) (*live, error) {
	if err := checkAddr(c.Host); err != nil {
		return nil, err
	}
	config := probe.Config{Addr: c.Host, ServerName: c.Name, Path: c.Path, Look: c.Cacert == ""}
	var err error
	if config.Roots, err = roots(c.Cacert); err != nil {
		return nil, err
	}
	if len(entry.Chain) > 0 {
		if entry.Key == nil || !certfile.Belongs(entry.Key, entry.Chain[0]) {
			return nil, mistaken("--host with --cert needs the key of the certificate", "--key FILE, or a file that holds both")
		}
		config.Certificate = &tls.Certificate{PrivateKey: entry.Key, Leaf: entry.Chain[0]}
		for _, cert := range entry.Chain {
			config.Certificate.Certificate = append(config.Certificate.Certificate, cert.Raw)
		}
	}
	sent := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, c.Method) && len(c.Header) == 0 && c.Stated == ""
	if sent {
		if err := checkTarget(c.Path); err != nil {
			return nil, err
		}
		config.Method = c.Method
	}
	r := probe.Run(ctx, config)
	if c.Cacert == "" && pinned != nil && len(r.Chain) > 0 && !r.Chain[0].Equal(pinned) {
		return nil, mistaken("the server at "+c.Host+" has another certificate than the configuration names", "is it the right server? --cacert FILE compares all the same")
	}
	l := &live{Addr: c.Host, Report: r, Sent: sent}
	switch {
	case r.Refused == probe.Server && r.Stage != probe.Answered:
		l.Same = x.Refused
	case r.Refused == probe.Network, r.Refused == probe.Client:
	case !sent:
		l.Same = !x.Refused
	case x.Allowed:
		l.Same = r.Answer.Reason == ""
	default:
		l.Same = r.Answer.Status == x.Status && (r.Answer.Reason == x.Reason || c.Method == http.MethodHead)
	}
	return l, nil
}

func checkAddr(addr string) error {
	if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" {
		return mistaken(addrWrong(addr), "HOST:PORT, say localhost:8443")
	}
	return nil
}

func addrWrong(addr string) string { return "\"" + addr + "\" is not HOST:PORT" }

func checkTarget(path string) error {
	if path == "" || strings.ContainsAny(path, " \t\r\n") {
		return mistaken("the path has blanks, or nothing in it", "a path as it is sent: /a%20b")
	}
	return nil
}

// stage is where it was decided.
func stage(x *mtlsguard.Explanation) string {
	switch {
	case x.Refused:
		return "handshake"
	case x.Unread:
		return "http"
	}
	switch x.Reason {
	case reason.AmbiguousPath, reason.Misdirected:
		return "request"
	case reason.UntrustedGateway, reason.BadHeader:
		return "gateway"
	case reason.Unmapped, reason.Ambiguous, reason.MappingExpired:
		return "mapping"
	case reason.NoRule, reason.Denied, reason.PolicyError, "":
		return "policy"
	}
	return "certificate"
}

// decided is the line that decided, "file:line", or nothing.
func decided(x *mtlsguard.Explanation) (position, text string) {
	switch {
	case x.Rule != (policy.Position{}):
		if x.Policy != nil {
			for _, l := range x.Policy.Lines {
				if l.Position == x.Rule {
					return x.Rule.String(), l.Text
				}
			}
		}
		return x.Rule.String(), ""
	case x.Reason == reason.Ambiguous, x.Reason == reason.MappingExpired, x.Reason == reason.Unmapped:
		for _, s := range x.Mapping {
			if s.Result == certmap.Matched || s.Result == certmap.Disabled || s.Result == certmap.OutOfTime {
				return stepPosition(s), "mapping " + s.MappingID
			}
		}
	}
	return "", ""
}
