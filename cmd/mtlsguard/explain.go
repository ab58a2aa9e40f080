package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

type explainCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Port   string `required:"" placeholder:"NAME" help:"The port, as the configuration names it."`
	Method string `arg:"" help:"GET, POST, …"`
	Path   string `arg:"" help:"The path, as it is sent."`

	Cert      string   `placeholder:"FILE" help:"What the client presents; without it, nobody."`
	Key       string   `placeholder:"FILE" help:"The certificate's key, for --host."`
	Host      string   `placeholder:"HOST:PORT" help:"Ask this running server too, and compare. Of methods it sends GET, HEAD and OPTIONS alone."`
	Cacert    string   `placeholder:"FILE" help:"What the running server's certificate leads to; without it, it must be the one that the configuration names."`
	Name      string   `name:"host-name" placeholder:"NAME" help:"The host that the request is for (SNI and Host). Default: one that the port serves."`
	Header    []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Another header: what a gateway states."`
	Forwarded string   `placeholder:"FILE" help:"The certificate that a gateway states, in the port's format; --cert is then the gateway's own."`
	passwordFlags
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
type explainResult struct {
	request      mtlsguard.ExplainRequest
	explanation  mtlsguard.Explanation
	config       *configFile
	certFile     string // the file, as the user named it
	leaf         *x509.Certificate
	verifier     *trust.Verifier // that judges who is calling; nil on a port without
	requestsCert bool            // the port, for a certificate
	live         *liveResult
}

func (c *explainCmd) Run(a *app) error {
	server, err := mtlsguard.Open(c.Config, mtlsguard.Options{Now: a.now})
	if err != nil {
		return err
	}
	s, err := readConfigFile(c.Config)
	if err != nil {
		return err
	}
	q, entry, err := c.newRequest(a, s)
	if err != nil {
		return err
	}
	x := &explainResult{request: q, config: s, certFile: c.Cert}
	if len(q.Certificates) > 0 {
		x.leaf = q.Certificates[0]
	}
	var pinned *x509.Certificate
	for _, p := range server.Ports() {
		if p.Name() != c.Port {
			continue
		}
		x.verifier, x.requestsCert = p.Config().Trust, p.ClientAuth() != ports.None
		if own, err := p.Config().Certificate(&tls.ClientHelloInfo{}); err == nil {
			pinned = own.Leaf
		}
	}
	if x.explanation, err = server.Explain(a.ctx, q); err != nil {
		return err
	}
	if c.Host != "" {
		if x.live, err = c.compareWithServer(a.ctx, entry, pinned, &x.explanation); err != nil {
			return err
		}
	}
	if a.json {
		if err := a.printJSON(x.report()); err != nil {
			return err
		}
	} else {
		x.print(a)
	}
	if !x.explanation.Allowed || x.live != nil && !x.live.Same {
		return errNegative // also where the running server says otherwise
	}
	return nil
}

func (c *explainCmd) newRequest(a *app, s *configFile) (q mtlsguard.ExplainRequest, entry certfile.Entry, err error) {
	q = mtlsguard.ExplainRequest{Port: c.Port, Method: c.Method, Path: c.Path, Host: c.Name, Header: http.Header{}}
	password, err := c.readPasswords(a)
	if err != nil {
		return q, entry, err
	}
	if c.Cert != "" {
		if entry, err = readClientEntry(c.Cert, password); err != nil {
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
			return q, entry, usageError("--header is not NAME: VALUE", "--header 'Client-Cert: :MIIB…:'")
		}
		name = strings.TrimSpace(name)
		q.Header[name] = append(q.Header[name], strings.TrimSpace(value))
	}
	if c.Forwarded != "" {
		stated, err := readClientEntry(c.Forwarded, password)
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
