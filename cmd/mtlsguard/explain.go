package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/certfile"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/trust"
)

type explainCmd struct {
	Config string `required:"" placeholder:"FILE" help:"The server's mtlsguard.yaml."`
	Port   string `placeholder:"NAME" help:"The port, as the configuration names it."`
	Method string `arg:"" optional:"" help:"GET, POST, …"`
	Path   string `arg:"" optional:"" help:"The path as it is sent."`

	Log string `placeholder:"FILE" help:"Take port, method, path and user from the newest matching line of the server's log, in place of --port, METHOD and PATH. - is standard input."`
	logFilter

	Cert      string   `placeholder:"FILE" help:"The client's certificate. Default: the client presents none."`
	Key       string   `placeholder:"FILE" help:"The certificate's key, for --host."`
	Host      string   `placeholder:"HOST:PORT" help:"Send the request to this running server too, and compare. Only GET, HEAD and OPTIONS are sent."`
	Cacert    string   `placeholder:"FILE" help:"The trust anchors for the running server's certificate. Default: the certificate must be the one that the configuration names."`
	Name      string   `name:"host-name" placeholder:"NAME" help:"The host name in SNI and Host. Default: a name that the port serves."`
	Header    []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"A header of the request, for example one that a gateway sets."`
	Forwarded string   `aliases:"stated" placeholder:"FILE" help:"The certificate that a gateway forwards, in the port's format. --cert is then the gateway's own."`
	passwordFlags
}

func (*explainCmd) Help() string {
	return `Decides a request by the code of the server, without sending it. Shows the handshake, the mapping and the policy, and ends with changes that would alter the decision.

Examples:
  mtlsguard explain --config mtlsguard.yaml --cert alice.pem --port internal GET /orders/7
  mtlsguard explain --config mtlsguard.yaml --port public GET /whoami
  mtlsguard explain --config mtlsguard.yaml --log server.log --reference 6f1c2a9b7d3e4f50
  mtlsguard explain --config mtlsguard.yaml --cert bob.pem --key bob-key.pem --port internal --host localhost:8443 GET /orders/7

Exit status: 0 the request is allowed, 1 it is refused or the running server decides differently, 2 the command line, the configuration or the certificate has an error.`
}

// explainResult is a request, its explanation, and the settings that hints refer to.
type explainResult struct {
	request                 mtlsguard.ExplainRequest
	explanation             mtlsguard.Explanation
	config                  *configFile
	certFile, forwardedFile string              // as on the command line
	leaf                    *x509.Certificate   // of the connection
	forwarded               []*x509.Certificate // the user's chain, with --forwarded
	verifier                *trust.Verifier     // for the callers of the port; nil if the port has none
	requestsCert            bool                // whether the port requests a certificate
	live                    *liveResult
	log                     *loggedRequest    // nil without --log
	mappings                []certmap.Mapping // of the files, if the line is explained without the certificate
}

func (c *explainCmd) Run(a *app) error {
	var wrong errorlist.List // all errors at once
	server, err := mtlsguard.Open(c.Config, mtlsguard.Options{Now: a.now, Source: source.Kept(), Certificates: programCertificates(c.Config)})
	wrong.Merge(err, configerror.Error{File: c.Config})
	config, err := readConfigFile(c.Config)
	if server != nil {
		wrong.Merge(err, configerror.Error{File: c.Config})
	}
	line := c.request(a, &wrong)
	x, entry := c.newRequest(a, config, &wrong)
	if x.log = line; line != nil {
		wrong.Merge(line.checkCertificate(x), configerror.Error{File: c.Cert})
	}
	if c.Host != "" {
		wrong.Merge(validateAddr(c.Host), configerror.Error{})
		wrong.Merge(validateTarget(c.Path), configerror.Error{})
	}
	if err := wrong.Err(); err != nil {
		return err
	}
	var pinned *x509.Certificate
	for _, p := range server.Ports() {
		if p.Name() != c.Port {
			continue
		}
		x.verifier, x.requestsCert = p.Config().Trust, p.Config().ClientAuth != ports.None
		if own, err := p.Config().Certificate(&tls.ClientHelloInfo{}); err == nil {
			pinned = own.Leaf
		}
	}
	if line != nil && c.Cert == "" {
		err = x.explainLine(a, server)
	} else {
		x.explanation, err = server.Explain(a.ctx, x.request)
	}
	if err != nil {
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
		return errNegative // a different decision of the running server counts too
	}
	return nil
}

// request checks that the command line names a request, or finds the one in the log.
func (c *explainCmd) request(a *app, wrong *errorlist.List) *loggedRequest {
	if c.Log == "" {
		var missing []string
		for _, part := range []struct{ name, value string }{{"--port=NAME", c.Port}, {"METHOD", c.Method}, {"PATH", c.Path}} {
			if part.value == "" {
				missing = append(missing, part.name)
			}
		}
		if len(missing) > 0 {
			wrong.Merge(usageError("missing: "+strings.Join(missing, ", "), "mtlsguard explain --config FILE --port NAME GET /PATH, or --log FILE --reference ID"), configerror.Error{})
		}
		if c.logFilter != (logFilter{}) {
			wrong.Merge(usageError("--reference, --fingerprint, --user and --refused need --log", "--log FILE with the server's log"), configerror.Error{})
		}
		return nil
	}
	if c.Port+c.Method != "" {
		wrong.Merge(usageError("--log takes port, method and path from the log", "leave out --port, METHOD and PATH"), configerror.Error{})
		return nil
	}
	if c.Host != "" && c.Cert == "" {
		wrong.Merge(usageError("--host with --log needs the certificate", "--cert FILE --key FILE with the client's certificate"), configerror.Error{})
	}
	line, err := c.findLine(a)
	if err != nil {
		wrong.Merge(err, configerror.Error{File: c.Log})
		return nil
	}
	c.takeRequest(line)
	return line
}

// newRequest returns the request of the command line, and the client's certificate with its
// key. config is nil if it cannot be read.
func (c *explainCmd) newRequest(a *app, config *configFile, wrong *errorlist.List) (*explainResult, certfile.Entry) {
	x := &explainResult{config: config, certFile: c.Cert, forwardedFile: c.Forwarded}
	x.request = mtlsguard.ExplainRequest{Port: c.Port, Method: c.Method, Path: c.Path, Host: c.Name, Header: http.Header{}}
	password, err := c.readPasswords(a)
	wrong.Merge(err, configerror.Error{})
	entry := c.readCertificate(password, wrong)
	if len(entry.Chain) > 0 {
		x.request.Certificates, x.leaf = entry.Chain, entry.Chain[0]
	}
	for _, h := range c.Header {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			wrong.Merge(usageError("--header: "+strconv.Quote(h)+" is not NAME: VALUE", "--header 'Client-Cert: :MIIB…:'"), configerror.Error{})
			continue
		}
		x.request.Header[name] = append(x.request.Header[name], strings.TrimSpace(value))
	}
	known := config != nil && slices.Contains(config.portNames(), c.Port)
	if config != nil && !known && c.Port != "" {
		wrong.Merge(usageError(fmt.Sprintf("there is no port %q", c.Port), "use one of "+strings.Join(config.portNames(), ", ")), configerror.Error{})
	}
	if c.Forwarded != "" {
		c.addForwarded(x, known, password, wrong)
	}
	return x, entry
}

// readCertificate reads the client's certificate, and its key if there is one.
func (c *explainCmd) readCertificate(password certfile.Passwords, wrong *errorlist.List) (entry certfile.Entry) {
	var err error
	if c.Cert != "" {
		entry, err = readClientEntry(c.Cert, password)
		wrong.Merge(err, configerror.Error{File: c.Cert})
	}
	if c.Key == "" {
		return entry
	}
	key, err := certfile.ReadKey(c.Key)
	wrong.Merge(err, configerror.Error{File: c.Key})
	switch {
	case c.Cert == "":
		wrong.Merge(usageError("--key needs --cert", "--cert FILE with the certificate of the key"), configerror.Error{})
	case err == nil && len(entry.Chain) > 0 && !entry.SetKey(key):
		wrong.Add(configerror.Error{File: c.Key, What: "this is not the key of the certificate in " + c.Cert, Hint: "--key FILE with the key of " + formatSubject(entry.Chain[0])})
	}
	return entry
}

// addForwarded adds the certificate that a gateway forwards, in the port's format.
func (c *explainCmd) addForwarded(x *explainResult, known bool, password certfile.Passwords, wrong *errorlist.List) {
	user, err := readClientEntry(c.Forwarded, password)
	wrong.Merge(err, configerror.Error{File: c.Forwarded})
	if !known {
		return
	}
	port := x.config.port(c.Port)
	if !port.isForwarded() {
		hint := "--cert FILE is the client's certificate"
		var gateways []string
		for _, p := range x.config.ports {
			if p.isForwarded() {
				gateways = append(gateways, p.Name)
			}
		}
		if len(gateways) > 0 {
			hint += "; ports behind a gateway are: " + strings.Join(gateways, ", ")
		}
		wrong.Add(configerror.Error{File: x.config.path, Line: port.line, What: fmt.Sprintf("--forwarded: port %s has no key forwarded: it reads no forwarded certificates", c.Port), Hint: hint})
		return
	}
	topology, err := port.topology()
	wrong.Merge(err, configerror.Error{File: x.config.path, Line: port.line})
	if err == nil && len(user.Chain) > 0 {
		x.forwarded = user.Chain
		topology.Write(x.request.Header, user.Chain)
	}
}
